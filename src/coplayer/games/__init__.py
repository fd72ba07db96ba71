"""Rules of games, as pure functions."""
