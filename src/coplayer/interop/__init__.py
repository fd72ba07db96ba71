"""Other libraries: our players in their games, and their players in ours. Each file needs its library installed."""
