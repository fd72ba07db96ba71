"""Who acts: memory-1 players, recurrent policies, planners, naive learners."""
