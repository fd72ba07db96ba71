"""Plots, and tables of the papers' numbers beside ours."""
