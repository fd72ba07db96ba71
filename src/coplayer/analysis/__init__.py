"""Measuring players: exact values where there are closed forms, matches where there are none."""
