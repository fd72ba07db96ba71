"""Episodes on disk: as few bits per round as the joint actions need (two for two actions each)."""

import numpy as np

from coplayer.errors import require


def bits_per_round(num_joint: int) -> int:
    return max(1, (num_joint - 1).bit_length())


def pack(episodes: np.ndarray, num_joint: int) -> np.ndarray:
    """uint8 joint actions of any shape, to a flat array of bytes."""
    bits = bits_per_round(num_joint)
    planes = (episodes.reshape(-1, 1) >> np.arange(bits, dtype=np.uint8)) & 1
    return np.packbits(planes.astype(np.uint8))


def unpack(packed: np.ndarray, num_joint: int, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of `pack`."""
    bits = bits_per_round(num_joint)
    count = int(np.prod(shape)) * bits
    require(packed.size == -(-count // 8), f"checkpoint: its episodes have {packed.size} bytes, not {-(-count // 8)}")
    planes = np.unpackbits(packed, count=count).reshape(-1, bits)
    return (planes << np.arange(bits, dtype=np.uint8)).sum(-1, dtype=np.uint8).reshape(shape)
