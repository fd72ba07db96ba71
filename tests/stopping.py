"""Runs that are stopped and go on: what stands for a crash, and what must not differ for it."""

import numpy as np

from coplayer.runs import checkpoint
from coplayer.runs.folder import RunFolder
from coplayer.runs.training import Silence


class StopAfter(Silence):
    """Stands for a crash between two chunks."""

    def __init__(self, chunks):
        self.left = chunks

    def advanced(self, chunk, progress):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def outcome(path):
    """Metrics, and every array of the kept agents and of the last state."""
    folder = RunFolder.open(path)
    agents = {file.name: checkpoint.load(file)[1] for file in sorted(folder.agents.glob("*.npz"))}
    arrays = {(file, name): array for file, kept in agents.items() for name, array in kept.items()}
    return folder.metrics_file.read_bytes(), arrays | checkpoint.newest(folder.checkpoints).arrays


def assert_same(one, other):
    """Two runs are the same to the bit."""
    (metrics, arrays), (again, others) = outcome(one), outcome(other)
    assert metrics == again and arrays.keys() == others.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, others[name], err_msg=str(name))
