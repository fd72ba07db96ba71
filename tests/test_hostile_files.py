"""Files from others: nothing in them is run, none takes much memory, and each damage is one clear line."""

import ast
import gzip
import io
import json
import pickle
import shutil
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

import coplayer as cp
from coplayer.cli import main
from coplayer.errors import CoplayerError
from coplayer.experiments import registry
from coplayer.experiments.archive import archive
from coplayer.reproduce.reproduce import recompute
from coplayer.runs import checkpoint
from coplayer.runs.folder import RunFolder
from coplayer.settings import adjust
from tiny import PLAIN_EXACT, TINY_A2C

pytestmark = pytest.mark.usefixtures("compiled_once")

SOURCE = Path(__file__).parents[1]
LITTLE = 32e6  # bytes, of which every small file stays far below
WRITTEN = "written by a file that was only to be read"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("hostile") / "run"
    return registry.train(adjust(TINY_A2C, iterations=6, phases=1, log_every=6), out).path


@pytest.fixture
def run(trained, tmp_path):
    """A whole run, to be damaged."""
    return RunFolder(shutil.copytree(trained, tmp_path / "run"))


def refusal(call, *arguments, **options):
    """The one line by which a call refuses, without much memory."""
    tracemalloc.start()
    try:
        with pytest.raises(CoplayerError) as refused:
            call(*arguments, **options)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < LITTLE
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 600
    return str(refused.value)


def npz(path, members, method=zipfile.ZIP_DEFLATED):
    """A zip file of these bytes by name."""
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)


def npy(array):
    data = io.BytesIO()
    np.save(data, array, allow_pickle=True)
    return data.getvalue()


def claiming(shape, dtype="<f4", data=b"1234"):
    """An array of a few bytes whose header tells of another one."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def members_of(path):
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def agents_file(run):
    return run.agents_file(run.phases()[-1])


class Payload:
    """What pickle would run."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.write_text, (self.target, WRITTEN)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (claiming("(1000000, 1000000, 1000000)"), "claims float32 of shape"),
        (claiming("(2000000000000,)"), "claims float32 of shape"),
        (claiming(f"({2**63}, {2**63})"), "claims float32 of shape"),
        (claiming("(-1,)"), "claims float32 of shape"),
        (claiming("(1,)", "|O"), "claims object of shape"),
        (claiming("(1,)", "<U1"), "claims <U1 of shape"),
        (claiming("(1,)", "|V4"), "claims |V4 of shape"),
        (claiming("(__import__('os').abort(),)"), "unreadable or cut short"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535, "unreadable or cut short"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + b" " * 100, "unreadable or cut short"),  # a header of 2 GB
        (b"\x93NUMPY\x09\x00", "unreadable or cut short"),
        (claiming("(1,)", data=b""), "claims float32 of shape"),
        (b"", "unreadable or cut short"),
        (b"not an array", "unreadable or cut short"),
    ],
    ids=range(14),
)
def test_an_array_that_is_not_what_it_claims(run, data, said):
    file = agents_file(run)
    name, *_ = members = members_of(file)
    npz(file, members | {name: data})
    text = refusal(cp.load, run.path)
    assert str(file) in text and said in text


def test_an_array_of_objects_is_not_unpickled(run, tmp_path):
    file, target = agents_file(run), tmp_path / "target"
    members = members_of(file)
    name = next(iter(members))
    npz(file, members | {name: npy(np.array([Payload(target)], dtype=object))})
    assert "claims object" in refusal(cp.load, run.path)
    file.write_bytes(pickle.dumps(Payload(target)))
    assert "unreadable or cut short" in refusal(cp.load, run.path)
    assert not target.exists()
    pickle.loads(file.read_bytes())  # the payload is a real one
    assert target.read_text() == WRITTEN


def test_a_zip_bomb(run):
    """500 MB of zeros, in half a megabyte; and one that lies about its size."""
    file, size = agents_file(run), 500 * 10**6
    bomb = io.BytesIO()
    made = zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=9)
    with made, made.open("head.npy", "w", force_zip64=True) as member:
        member.write(claiming(f"({size},)", "|u1", b""))
        for _ in range(500):
            member.write(bytes(size // 500))
    data = bomb.getvalue()
    assert len(data) < 10**6
    file.write_bytes(data)
    assert "claims to unpack to 500 MB" in refusal(cp.load, run.path)
    bomb = io.BytesIO()
    npz(bomb, {"head.npy": claiming("(30000000,)", "|u1", bytes(3 * 10**7))})
    data = bytearray(bomb.getvalue())
    at = data.rindex(b"PK\x01\x02") + 24  # the claimed size, in the directory
    data[at : at + 4] = struct.pack("<I", 200)
    file.write_bytes(data)
    assert "unreadable or cut short (BadZipFile)" in refusal(cp.load, run.path)


@pytest.mark.parametrize("name", ["../../outside.npy", "/outside.npy", "..\\outside.npy", "evil.py", "a/../../b"])
def test_names_that_climb_out_write_nothing(run, name, tmp_path):
    file, before = agents_file(run), sorted(tmp_path.rglob("*"))
    npz(file, members_of(file) | {name: npy(np.zeros(3))})
    if name.endswith(".npy"):  # one more array, in memory alone
        assert len(cp.load(run.path)) == 2
    else:
        assert "which is no array" in refusal(cp.load, run.path)
    assert sorted(tmp_path.rglob("*")) == before and not Path("/outside.npy").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda array: array[..., :-1], "has shape"),
        (lambda array: array[None], "has shape"),
        (lambda array: np.zeros((0,), array.dtype), "has shape"),
        (lambda array: array.astype(np.int64).astype(np.float64) * np.nan, "not finite"),
        (lambda array: np.full_like(array, np.inf), "not finite"),
    ],
)
def test_weights_of_another_form_or_not_finite(run, change, said):
    file = agents_file(run)
    head, arrays = checkpoint.load(file)
    name = max(arrays, key=lambda name: arrays[name].size)
    file.write_bytes(checkpoint.dump(arrays | {name: change(arrays[name])}, head))
    text = refusal(cp.load, run.path)
    assert name in text and said in text


@pytest.mark.parametrize("where", ["agents", "checkpoint"])
def test_every_truncation_is_refused(run, where):
    file = agents_file(run) if where == "agents" else checkpoint.newest(run.checkpoints).path
    whole = file.read_bytes()
    for size in (*range(0, len(whole), max(1, len(whole) // 25)), len(whole) - 1):
        file.write_bytes(whole[:size])
        text = refusal(cp.load, run.path) if where == "agents" else refusal(checkpoint.newest, run.checkpoints)
        assert "unreadable or cut short" in text


def test_a_changed_byte_is_refused_or_changes_nothing(run):
    """Of a directory entry, some bytes mean nothing, such as the time."""
    file = agents_file(run)
    whole, known = file.read_bytes(), checkpoint.load(file)[1]
    draw = np.random.default_rng(0)
    for at in draw.integers(len(whole), size=60):
        changed = bytearray(whole)
        changed[at] ^= int(draw.integers(1, 256))
        file.write_bytes(changed)
        try:
            arrays = checkpoint.load(file)[1]
        except CoplayerError as error:
            assert "\n" not in str(error)
            continue
        assert all(np.array_equal(array, known[name]) for name, array in arrays.items() if name in known)


@pytest.mark.parametrize(
    "head",
    [
        b"[]",
        b"{",
        b'{"step": "many", "rows": 0}',
        b'{"step": -1, "rows": 0}',
        b'{"step": 1}',
        b'{"step": NaN}',
        b"[" * 10**5,
    ],
)
def test_a_checkpoint_with_another_head(run, head):
    file = checkpoint.newest(run.checkpoints).path
    npz(file, members_of(file) | {"head.npy": npy(np.frombuffer(head, np.uint8))})
    assert str(file) in refusal(checkpoint.newest, run.checkpoints)
    assert str(file) in refusal(cp.resume, run.path)


def test_a_checkpoint_with_numbers_of_another_kind(run):
    found = checkpoint.newest(run.checkpoints)
    name = max(found.arrays, key=lambda name: found.arrays[name].size)
    for change in (lambda array: array.astype(bool), lambda array: array[..., :0]):
        arrays = found.arrays | {name: change(found.arrays[name])}
        if arrays[name].dtype == bool:
            arrays[name] = arrays[name].astype("<f8").view("<i8")
            key = next((other for other in found.arrays if found.arrays[other].dtype == np.uint32), name)
            arrays[key] = np.zeros(found.arrays[key].shape, np.float64)
        found.path.write_bytes(checkpoint.dump(arrays, {"step": 0, "rows": 0}))
        settings = registry.settings_of_folder(run)[1]
        assert "these settings need" in refusal(registry.trainer_of(settings).unpack, arrays)


def test_an_archive_whose_metrics_are_a_bomb_or_cut_short(run, tmp_path):
    made = archive(run.path, tmp_path / "archive")
    whole = made.archived_metrics.read_bytes()
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb") as file:
        for _ in range(400):
            file.write(bytes(10**6))
    made.archived_metrics.write_bytes(bomb.getvalue())
    assert len(bomb.getvalue()) < 10**6
    with pytest.raises(CoplayerError, match=r"unreadable or cut short .*unpacks to more than"):
        made.metrics()
    for damaged in (whole[:-9], whole[: len(whole) // 2], b"", b"nothing", whole[:30] + b"\x00" + whole[31:]):
        made.archived_metrics.write_bytes(damaged)
        assert "unreadable or cut short" in refusal(made.metrics)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[1, 2]", "line 1 must be an object"),
        ("3", "line 1 must be an object"),
        ('{"phase": 1, "seed": 0, "learner": 0, "reward": "1"}', "line 1 must be an object of numbers"),
        ('{"phase": 1, "seed": 0, "learner": 0, "reward": {}}', "line 1 must be an object of numbers"),
        ("{", "line 1 is unreadable"),
        ("[" * 200_000, "line 1 is unreadable"),
        ('{"phase": 1, "seed": 0, "learner": 0, "reward": NaN}', "line 1 is unreadable"),
        ('{"phase": 1, "seed": 0, "learner": 0, "reward": -Infinity}', "line 1 is unreadable"),
        ('{"phase": 1, "seed": 0, "reward": 1.0}', "line 1 lacks its phase, seed or learner"),
        ('{"phase": 1.5, "seed": 0, "learner": 0}', "line 1 lacks its phase, seed or learner"),
        ('{"phase": "../..", "seed": 0, "learner": 0}', "line 1 must be an object of numbers"),
    ],
    ids=range(11),
)
def test_metrics_that_are_no_rows(run, line, said):
    run.metrics_file.write_text(line + "\n")
    assert said in refusal(run.metrics)


def test_times_that_are_no_rows(run):
    run.timing_file.write_text('{"step": 1}\n')
    assert "line 1 lacks its step or seconds" in refusal(run.timing)


def test_runs_to_be_joined_with_other_arrays_or_without_rows(trained, tmp_path):
    first, second = (RunFolder(shutil.copytree(trained, tmp_path / name)) for name in ("first", "second"))
    stored = second.config()
    stored["settings"]["run"]["seed"] = stored["settings"]["run"]["seeds"]
    second.config_file.write_text(json.dumps(stored))
    file = agents_file(second)
    head, arrays = checkpoint.load(file)
    name, changed = next(iter(arrays)), {"more": np.zeros((2, 2))}
    for others in (arrays | changed, {}, arrays | {name: arrays[name][..., None]}, arrays | {name: np.zeros(2)}):
        file.write_bytes(checkpoint.dump(others, head))
        text = refusal(cp.join, [first.path, second.path], tmp_path / "out")
        assert "its agents have other arrays" in text
    state = checkpoint.newest(second.checkpoints)
    state.path.write_bytes(checkpoint.dump(state.arrays, {"step": state.step, "rows": 0}))
    second.metrics_file.write_bytes(b"")
    assert "has 0 of the run's 0 rows" in refusal(cp.join, [first.path, second.path], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def config(run, **changes):
    """The run's config.json, with some settings changed by their group and name."""
    stored = run.config()
    for path, value in changes.items():
        group, _, name = path.partition("__")
        (stored["settings"][group] if name else stored["settings"])[name or group] = value
    run.config_file.write_text(json.dumps(stored))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"network__hidden": 10**12}, "has shape"),
        ({"network__hidden": -1}, "hidden: must be"),
        ({"network__hidden": "__import__('os').abort()"}, "hidden: must be a whole number"),
        ({"run__seeds": 10**9}, "has shape"),
        ({"run__seeds": 10**30}, "seed: must be at most"),
        ({"loss__gamma": 1e999}, "unreadable"),
        ({"game": {"name": "evil.py:Game"}}, "'evil.py:Game' is not one of"),
        ({"game": {"name": "../evil.py:Game"}}, "is not one of"),
        ({"game": {"name": ["coin"]}}, "is not one of"),
        ({"game": {"name": "coin", "size": 10**9}}, "pool: strangers need"),
        ({"game": {"name": "coin", "size": 10**9}, "co_players__learner_share": 1.0}, "has shape"),
        ({"game": {"name": "matrix", "payoffs": [1e400] * 4}}, "unreadable"),
        ({"game": "ipd"}, "game: must be an object"),
        ({"network": None}, "network: must be an object"),
        ({"more": {}}, "unknown setting more"),
    ],
    ids=range(15),
)
def test_a_config_of_others(run, changes, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, run.path):
        (folder / "evil.py").write_text(f"open('target', 'w').write({WRITTEN!r})")
    config(run, **changes)
    assert said in refusal(cp.load, run.path)
    assert main(["evaluate", str(run.path)]) == 2
    assert not list(tmp_path.rglob("target"))


@pytest.mark.parametrize(
    "text", ["", "[]", "[" * 10**5, "{}", '{"settings": 3}', "\x00", '{"settings": {}, "format": []}']
)
def test_a_config_that_is_none(run, text):
    run.config_file.write_text(text)
    assert str(run.config_file) in refusal(cp.load, run.path)


def test_files_of_agents_by_other_names_are_no_phases(run):
    for name in ("phase_1x.npz", "phase_..npz", "phase_-3.npz", "phase_.npz", "phase_0b1.npz"):
        (run.agents / name).write_bytes(b"")
    assert run.phases() == [1] and len(cp.load(run.path)) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": "../../../outside"},
        {"seed": -1},
        {"asked_seeds": "../outside"},
        {"asked_seeds": 0},
        {"figure": "../outside"},
        {"figure": []},
        {"preset": "../outside"},
        {"only": "../outside"},
    ],
    ids=str,
)
def test_a_figure_of_others_names_no_folder_outside(changes, tmp_path):
    made = {"figure": "meulemans-fig9", "preset": "quick", "only": None, "seed": 0, "asked_seeds": 1} | changes
    folder = tmp_path / "a" / "b" / "figure"
    folder.mkdir(parents=True)
    (folder / "made.json").write_text(json.dumps(made))
    (folder / "table.md").write_text("")
    before = sorted(tmp_path.rglob("*"))
    refusal(recompute, folder)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_logits_of_an_exact_run_are_checked_too(tmp_path):
    run = registry.train(adjust(PLAIN_EXACT, phases=1, seeds=1), tmp_path / "exact")
    file = agents_file(run)
    head, arrays = checkpoint.load(file)
    file.write_bytes(checkpoint.dump({name: array * np.nan for name, array in arrays.items()}, head))
    assert "not finite" in refusal(cp.load, run.path)


def test_every_archived_result_is_read():
    """What the checks refuse is nothing that we write."""
    files = sorted(SOURCE.glob("results/**/agents/*.npz"))
    for file in files[:: max(1, len(files) // 40)]:
        assert checkpoint.load_agents(file)
    for run in sorted(SOURCE.glob("results/**/metrics.jsonl.gz"))[::10]:
        assert RunFolder.open(run.parent).metrics()


UNSAFE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def test_nothing_in_the_package_unpickles_or_evaluates():
    """No module that unpickles, no eval or exec; np.load and the like refuse pickles."""
    for file in sorted((SOURCE / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            where = f"{file.relative_to(SOURCE)}:{getattr(node, 'lineno', '')}"
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                assert not UNSAFE & {name.partition(".")[0] for name in names}, where
            elif isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("eval", "exec", "__import__", "os.system", "jax.numpy.load"), where
                assert called != "yaml.load" and not called.startswith("joblib."), where
                if called in ("np.load", "numpy.load", "jnp.load"):
                    allowed = {word.arg: ast.unparse(word.value) for word in node.keywords}.get("allow_pickle")
                    assert allowed == "False", where
