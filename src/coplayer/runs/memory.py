"""Whether a run fits the memory of its device, asked before the run starts."""

import jax

from coplayer.errors import require


def available_bytes() -> int | None:
    """Memory in bytes that a run may use on one device: a GPU's own, or what the machine has left; None: unknown."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    try:
        with open("/proc/meminfo") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


def require_fit(needed: int, advice: str) -> None:
    """Raise `CoplayerError` if `needed` bytes are more than are free. `advice` names the settings that need less."""
    available = available_bytes()
    require(
        available is None or needed <= available,
        f"this run needs about {needed / 1e9:.1f} GB and {(available or 0) / 1e9:.1f} GB are free: {advice}",
    )
