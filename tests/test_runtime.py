"""JAX's settings in a process of their own: they can be made once only."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import coplayer
from coplayer import runtime

CONFIGURED = """
import jax, jax.numpy as jnp
from coplayer import runtime
{begun}
runtime.configure(cpu_devices=3)
print(jax.device_count())
"""
CACHED = """
import jax, jax.numpy as jnp
from coplayer import runtime
runtime.LEAST_SECONDS = 0
{configure}
jax.jit(lambda x: x @ x + 1)(jnp.ones((3, 3)))
print(jax.config.jax_compilation_cache_dir, jax.config.jax_enable_compilation_cache)
"""
OWN_CACHE = ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "JAX_ENABLE_COMPILATION_CACHE")


def run(code: str, leave_out: tuple[str, ...] = (), **environment: object) -> list[str]:
    """The words that a new process prints."""
    kept = {name: value for name, value in os.environ.items() if name not in leave_out}
    given = {name: str(value) for name, value in environment.items()}
    process = subprocess.run(
        [sys.executable, "-c", code], env=kept | {"JAX_PLATFORMS": "cpu"} | given, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    assert "Warning" not in process.stderr
    return process.stdout.split()


@pytest.mark.parametrize(("begun", "devices"), [("", 3), ("jnp.ones(1)", 1)])
def test_devices_are_set_before_jax_begins_and_left_alone_after(begun: str, devices: int):
    assert run(CONFIGURED.format(begun=begun), ("XLA_FLAGS",)) == [str(devices)]


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*-cache") if path.is_file()]


def test_compiled_programs_are_kept_in_the_users_cache_folder_and_read_again(tmp_path):
    code = CACHED.format(configure="runtime.configure()")
    folder, enabled = run(code, OWN_CACHE, XDG_CACHE_HOME=tmp_path)
    assert Path(folder).parent == tmp_path / "coplayer" / "jax" and enabled == "True"
    kept = {path: path.stat().st_mtime_ns for path in files(Path(folder))}
    assert any("lambda" in path.name for path in kept)
    run(code, OWN_CACHE, XDG_CACHE_HOME=tmp_path)
    assert {path: path.stat().st_mtime_ns for path in files(Path(folder))} == kept


@pytest.mark.parametrize(
    ("configure", "environment"),
    [("runtime.configure(compilation_cache=False)", {}), ("runtime.configure()", {"COPLAYER_NO_CACHE": "1"})],
)
def test_nothing_is_kept_where_the_user_says_so(configure, environment, tmp_path):
    code = CACHED.format(configure=configure)
    assert run(code, OWN_CACHE, XDG_CACHE_HOME=tmp_path, **environment) == ["None", "False"]
    assert list(tmp_path.iterdir()) == []


def test_the_users_own_cache_is_left_alone(tmp_path):
    code = CACHED.format(configure="runtime.configure()")
    places = {"XDG_CACHE_HOME": tmp_path / "cache", "JAX_COMPILATION_CACHE_DIR": tmp_path / "own"}
    assert run(code, OWN_CACHE, **places) == [str(tmp_path / "own"), "True"]
    assert not (tmp_path / "cache").exists()


def test_a_cache_folder_that_cannot_be_made_stops_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    code = CACHED.format(configure="runtime.configure()")
    assert run(code, OWN_CACHE, XDG_CACHE_HOME=tmp_path / "file") == ["None", "True"]


def test_the_command_line_has_a_flag_for_it(tmp_path):
    code = "import jax\nfrom coplayer import cli\n"
    for flag in (["--no-compilation-cache"], ["--no-compilation_cache"], []):
        code += f"cli.main({['resume', str(tmp_path / 'none'), *flag]}); print(jax.config.jax_compilation_cache_dir)\n"
    *without, kept = run(code, OWN_CACHE, XDG_CACHE_HOME=tmp_path)
    assert without == ["None", "None"]
    assert [kept] == [str(path) for path in (tmp_path / "coplayer" / "jax").iterdir()]


def test_a_folder_of_the_cache_is_for_one_number_of_cores(monkeypatch):
    """A program compiled where there is one core would leave the others idle."""
    folders = []
    for cores in (1, 2):
        monkeypatch.setattr(runtime, "available_cores", lambda cores=cores: cores)
        folders.append(runtime.cache_folder())
    assert folders[0] != folders[1] and folders[0].parent == folders[1].parent


def test_a_folder_of_the_cache_is_for_one_kind_of_processor():
    assert runtime.cache_folder() == runtime.cache_folder()
    assert runtime.cache_folder().parent.name == "jax" and "coplayer" in runtime.cache_folder().parts


def test_there_is_a_core():
    assert runtime.available_cores() >= 1


def test_nothing_is_imported_that_other_systems_lack():
    """Windows has none of these modules of the standard library."""
    posix = {"crypt", "fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}
    for path in Path(coplayer.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            imported += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not posix & {name.partition(".")[0] for name in imported}, path
