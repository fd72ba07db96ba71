"""Benchmarks: the library side by side with a plainly written planner and with PyTorch. Run `python -m benchmarks`."""
