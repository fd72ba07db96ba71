"""Recurrent networks and the sequence models built on them."""
