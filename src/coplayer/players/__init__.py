"""Who acts: memory-1 players, sequence-model policies, planners."""
