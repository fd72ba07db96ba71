"""Several processes that train one run: against one process with as many devices, and where one of them fails."""

import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.experiments import registry
from coplayer.runs import hosts
from coplayer.runs.folder import RunFolder
from coplayer.settings import adjust
from processes import run_processes
from stopping import assert_same
from tiny import TINY

EXCHANGE = """
import signal
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from coplayer.errors import CoplayerError, require

heard = []
signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
hosts.connect()
signal.raise_signal(signal.SIGTERM)
assert len(heard) == 1
number, first = jax.process_index(), hosts.is_first()
assert jax.device_count() == 4 and hosts.several() and first == (number == 0)

mesh = Mesh(np.array(jax.devices()).reshape(2, 2).T, ("learners", "seeds"))
values = np.arange(2 * 4 * 5 * 3, dtype=np.float32).reshape(2, 4, 5, 3)
keys = jax.vmap(jax.vmap(jax.random.key))(np.arange(8).reshape(2, 4))
like = jax.jit(
    lambda: (jnp.zeros(values.shape), jax.random.wrap_key_data(jnp.zeros((2, 4, 2), jnp.uint32))),
    out_shardings=NamedSharding(mesh, PartitionSpec("learners", "seeds")),
)()
placed, of_keys = hosts.placed((values, keys), like)
assert hosts.is_spread(placed) and placed.sharding == like[0].sharding and of_keys.dtype == keys.dtype
hosts.meet(like)
for hosts.AT_ONCE in (10**9, values.nbytes // 3, 1):  # whole, in parts, row by row
    np.testing.assert_array_equal(hosts.on_host(placed), values)
np.testing.assert_array_equal(hosts.on_host(jax.random.key_data(of_keys)), jax.random.key_data(keys))
sums = placed.sum((2, 3))
found = hosts.by_name_on_host({"sum": sums, "twice": 2 * sums})
np.testing.assert_array_equal(found["twice"], 2 * values.sum((2, 3)))

hosts.AT_ONCE = 1000
for source in (0, 1):
    for size in (0, 999, 1000, 2500):
        mine = bytes(range(250)) * 10 if number == source else b""
        assert hosts.from_process(source, mine[:size]) == (bytes(range(250)) * 10)[:size]
assert hosts.first_says(first) is True and hosts.first_says(not first) is False

def error_of(failing):
    try:
        with hosts.together():
            require(number not in failing, f"folder: refused to {number}")
    except hosts.FailedTogether as error:
        return str(error)

assert error_of(()) is None
assert error_of((0,)) == error_of((0, 1)) == "folder: refused to 0"
assert error_of((1,)) == "process 1: folder: refused to 1"
hosts.disconnect()
signal.raise_signal(signal.SIGTERM)
assert len(heard) == 2
assert not hosts.connected() and float(jnp.ones(3).sum()) == 3
"""
TRAIN = """
from coplayer.errors import CoplayerError
from coplayer.experiments import registry
from coplayer.runs.training import Silence
from coplayer.settings import adjust
from tiny import TINY, TINY_A2C, TINY_COALA

path, verb, chunks = sys.argv[1:]

class Stop(Silence):
    left = int(chunks)

    def advanced(self, chunk, progress):
        self.left -= 1
        if self.left == 0:
            raise CoplayerError("stop")

try:
    registry.train({settings}, path, reporter=Stop()) if verb == "train" else registry.resume(path)
except CoplayerError as error:
    assert str(error) == "stop" and int(chunks)
hosts.disconnect()
"""
PPI = "adjust(TINY, seeds=2, phases=2)"
COMMAND = """
from coplayer import cli
sys.exit(cli.main(sys.argv[1:]))
"""


def test_processes_exchange_what_each_has_stop_together_and_hear_signals():
    for status, said in run_processes(EXCHANGE, joined=False):
        assert status == 0, said


def train(settings: str, path, *, verb: str = "train", count: int = 2, chunks: int = 0) -> None:
    """Train in so many processes, of four devices together; stop after so many chunks."""
    code = TRAIN.format(settings=settings)
    for status, said in run_processes(code, path, verb, chunks, count=count, devices=4 // count):
        assert status == 0, said


def test_two_processes_train_what_one_does_to_the_bit(tmp_path):
    train(PPI, tmp_path / "two")
    registry.train(adjust(TINY, seeds=2, phases=2), tmp_path / "one")  # here two devices, there four
    assert_same(tmp_path / "one", tmp_path / "two")
    assert RunFolder.open(tmp_path / "two").config()["device"] == "4 x cpu, 2 processes"


@pytest.mark.long
@pytest.mark.parametrize(
    "settings", [PPI, "TINY_A2C", "adjust(TINY_COALA, meta_agents=4, methods=('coala',), seeds=1)"]
)
def test_a_run_stopped_in_one_process_goes_on_in_two_and_the_other_way_round(settings, tmp_path):
    """With one seed, four agents of COALA-PG exchange their actions over both processes."""
    train(settings, tmp_path / "whole", count=1)
    for first, second in ((1, 2), (2, 1)):
        path = tmp_path / f"{first}-{second}"
        train(settings, path, count=first, chunks=3)
        train(settings, path, verb="resume", count=second)
        assert_same(tmp_path / "whole", path)


def test_what_process_0_is_refused_stops_both_in_one_line(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "file").touch()
    words = ["train", "ppi-mixed", "--seeds", "2", "--distributed", "--out", tmp_path / "run"]
    for status, said in run_processes(COMMAND, *words, joined=False):
        assert status == 2 and said.count("\n") == 1
        assert said.startswith("coplayer: out: ") and "exists already" in said


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"coordinator": "host:1234", "processes": 2}, "needs --process too"),
        ({"process": 1}, "needs --coordinator and --processes too"),
        ({"coordinator": "host", "processes": 2, "process": 0}, "coordinator: must be HOST:PORT"),
        ({"coordinator": "host:0", "processes": 2, "process": 0}, "coordinator: must be HOST:PORT"),
        ({"coordinator": "host:1234", "processes": 0, "process": 0}, "processes: must be at least 1"),
        ({"coordinator": "host:1234", "processes": 2, "process": 2}, "process: must be from 0 to 1, got 2"),
    ],
)
def test_processes_that_cannot_find_one_another(flags, message, monkeypatch):
    for name in (hosts.ADDRESS, hosts.COUNT, hosts.NUMBER):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(CoplayerError, match=message):
        hosts.connect(**flags)


def test_environment_variables_stand_in_for_flags(monkeypatch):
    monkeypatch.setenv(hosts.NUMBER, "3")
    with pytest.raises(CoplayerError, match="process: must be from 0 to 1, got 3"):
        hosts.connect("host:1234", 2)
    monkeypatch.setenv(hosts.NUMBER, "x")
    with pytest.raises(CoplayerError, match="JAX_PROCESS_ID must be a whole number, got 'x'"):
        hosts.connect("host:1234", 2)


def test_one_process_exchanges_nothing():
    with pytest.raises(KeyError), hosts.together():
        raise KeyError
    assert hosts.from_process(0, b"bytes") == b"bytes" and hosts.first_says(True) and hosts.is_first()
    assert not hosts.several() and not hosts.connected()
    np.testing.assert_array_equal(hosts.by_name_on_host({"a": np.ones(3)})["a"], np.ones(3))
