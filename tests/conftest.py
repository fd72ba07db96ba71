"""Run-time checks of every array's shape and dtype; two devices, so that two learners can have one each; compiled
programs kept for the length of a test run, for all its processes, since many tests train the same tiny config; and
compiled with little optimisation, since most tests take longer to compile than to run.
"""

import os
import tempfile

if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # the first process makes it, its workers share it
    CACHE = tempfile.TemporaryDirectory(prefix="coplayer-tests-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = CACHE.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"

if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):  # which the command line leaves alone
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2".strip()

import jaxtyping

jaxtyping.install_import_hook("coplayer", "beartype.beartype")
