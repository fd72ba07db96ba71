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

import jax
import jaxtyping

jax.config.update("jax_num_cpu_devices", 2)
jaxtyping.install_import_hook("coplayer", "beartype.beartype")
