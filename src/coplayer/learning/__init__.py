"""The mathematics of each learning algorithm, one file an algorithm."""
