"""Several processes that train one run on this machine: each runs the same code, with two CPU devices of its own."""

import os
import socket
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent
BEGIN = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
from coplayer.runs import hosts
"""


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def run_processes(
    code: str, *arguments: object, count: int = 2, devices: int = 2, joined: bool = True
) -> list[tuple[int, str]]:
    """Exit status and error output of each of `count` processes that run `code`. Several are joined to one another
    before, or find in the environment how to join.
    """
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"  # the last one counts
    shared = {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{_free_port()}"}
    program = BEGIN + ("hosts.connect()\n" if joined and count > 1 else "") + code
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, *map(str, arguments)],
            env=os.environ | shared | {"JAX_NUM_PROCESSES": str(count), "JAX_PROCESS_ID": str(number)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    said = [process.communicate(timeout=300)[1] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, said, strict=True)]
