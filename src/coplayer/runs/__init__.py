"""Run folders: settings, metrics, checkpoints, resume."""
