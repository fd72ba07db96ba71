"""Run-time checks of every array's shape and dtype in the tests; two devices, so that two learners can have one each."""

import jax
import jaxtyping

jax.config.update("jax_num_cpu_devices", 2)
jaxtyping.install_import_hook("coplayer", "beartype.beartype")
