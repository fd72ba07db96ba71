"""The experiments of the papers: one file each, a config and a function."""
