"""JAX's settings in a process of their own: they can be made once only."""

import os
import subprocess
import sys

import pytest

CONFIGURED = """
import jax, jax.numpy as jnp
from coplayer import runtime
{begun}
runtime.configure(cpu_devices=3)
print(jax.device_count())
"""


@pytest.mark.parametrize(("begun", "devices"), [("", 3), ("jnp.ones(1)", 1)])
def test_devices_are_set_before_jax_begins_and_left_alone_after(begun: str, devices: int):
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    process = subprocess.run(
        [sys.executable, "-c", CONFIGURED.format(begun=begun)],
        env=environment | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == [str(devices)]
