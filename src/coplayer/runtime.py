"""Settings of JAX that make this library fast on a CPU. They count if made before JAX first touches a device."""

import contextlib
import os

import jax

WIDE_VECTORS = "--xla_cpu_prefer_vector_width=512"


def configure(cpu_devices: int | None = None) -> None:
    """Use the widest vector instructions, and show each CPU core as a device of its own, two at most by default.

    The two learners of an experiment then train on a core each: their steps are too small for XLA to share one among
    cores. Does nothing to what the user has set in XLA_FLAGS, nor where JAX has begun already, and is without effect on
    GPUs.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_cpu_prefer_vector_width" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {WIDE_VECTORS}".strip()
    if "xla_force_host_platform_device_count" not in flags:
        with contextlib.suppress(RuntimeError):  # JAX has begun
            jax.config.update("jax_num_cpu_devices", cpu_devices or min(2, available_cores()))


def available_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
