"""The one loop of rounds: who sits at a table, what a round is, and what is recorded."""
