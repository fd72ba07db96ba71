"""Arrays' shapes and dtypes are checked at run time. There are two devices, so that two learners can have one each.
Compiled programs are kept for the length of a test run, for all its processes, since many tests train the same tiny
config. They are compiled with little optimisation, and without XLA's slow emitters of fused kernels. Nor do they keep
the lines of Python that operations come from. For most tests take longer to compile than to run. Python looks for
garbage seldom, since what JAX keeps of traced programs is no garbage.
"""

import functools
import gc
import os
import tempfile
from importlib.metadata import version
from pathlib import Path

if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # the first process makes it, its workers share it
    CACHE = tempfile.TemporaryDirectory(prefix="coplayer-tests-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = CACHE.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
os.environ["JAX_TRACEBACK_IN_LOCATIONS_LIMIT"] = "0"

TESTS = Path(__file__).parent
MOST_PIECES = 15_000  # of memory, with which a process begins the next file without forgetting its programs
EMITTERS = "xla_cpu_use_fusion_emitters"
FLAGS = {
    "xla_force_host_platform_device_count": "2",
    "xla_cpu_parallel_codegen_split_count": "1",
    "xla_cpu_prefer_vector_width": "512",  # as commands set it: processes share programs if all their flags are alike
}
if HAS_EMITTERS := version("jaxlib") < "0.11":  # later ones abort at a flag that they do not know
    FLAGS[EMITTERS] = "false"
for flag, value in FLAGS.items():  # the command line leaves them alone
    if flag not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --{flag}={value}".strip()

import jax  # noqa: E402
import jaxtyping  # noqa: E402
import pytest  # noqa: E402

jaxtyping.install_import_hook("coplayer", "beartype.beartype")
gc.set_threshold(100_000, 20, 50)


LONGEST = (  # files by the time they take, the longest first
    *("experiments/test_exact_ipd", "experiments/test_ppi_mixed", "experiments/test_coala_ipd"),
    *("reproduce/test_reproduce", "reproduce/test_equilibrium", "test_examples", "experiments/test_steps"),
    *("experiments/test_lola_dice", "experiments/test_join", "test_cli", "runs/test_training", "reproduce/test_weis"),
    *("reproduce/test_meulemans_exact", "learning/test_coala", "experiments/test_a2c_mixed"),
)


def pytest_collection_modifyitems(items):
    """Start with the longest files, so that no process is left with one of them at the end."""

    def place(item) -> int:
        name = item.path.relative_to(TESTS).with_suffix("").as_posix()
        return LONGEST.index(name) if name in LONGEST else len(LONGEST)

    items.sort(key=place)


@pytest.fixture(autouse=True, scope="module")
def programs_of_a_file():
    """Forget the programs after a test file, once they are many. Linux lets a process map 65,530 pieces of memory, and
    every program takes several: a process that kept the programs of all files would crash.
    """
    yield
    maps = Path("/proc/self/maps")
    if not maps.exists() or len(maps.read_bytes().splitlines()) > MOST_PIECES:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(autouse=True, scope="session")
def coarse_figures():
    """Draw figures of few dots, which takes less time: no test looks at what they show."""
    from coplayer.figures import panels  # not before jaxtyping's hook

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(panels, "DPI", 40)
        yield


@pytest.fixture
def usual_kernels(monkeypatch):
    """Fused kernels as users have them. Without the emitters XLA rounds a seed otherwise where two are trained."""
    jit = jax.jit

    def usual(function, *, compiler_options=None, **options):
        return jit(function, compiler_options=(compiler_options or {}) | {EMITTERS: True}, **options)

    if HAS_EMITTERS:
        monkeypatch.setattr(jax, "jit", usual)


@pytest.fixture(scope="module")
def compiled_once():
    """Share a trainer among the runs of a test file that have the same settings. A trainer holds no state but its
    compiled functions. Not for files that change, under the same settings, what a trainer is made of.
    """
    from coplayer.experiments import registry  # not before jaxtyping's hook

    with pytest.MonkeyPatch.context() as patch:
        for experiment in registry.EXPERIMENTS.values():
            patch.setattr(experiment, "Trainer", _shared(experiment.Trainer))
        yield


def _shared(trainer):
    """The same class or function, called once for the same settings. What builds on another run is made anew."""
    known = functools.cache(trainer)
    return lambda settings, **given: trainer(settings, **given) if given else known(settings)
