"""What the documents say holds. Commands can be parsed, links lead somewhere, and numbers stand on the pages that they
are linked to. Every public name is in the reference, and the tutorials run.
"""

import importlib.metadata
import re
import runpy
import shlex
import typing
from pathlib import Path

import pytest
from rich.console import Console

import coplayer as cp
from coplayer import cli
from coplayer.experiments import registry
from coplayer.games import names
from texts import REPOSITORY, files

needs_results = pytest.mark.skipif(not (REPOSITORY / "results").is_dir(), reason="the source archive has no results")
SHORT = {  # what the tutorials' parameters are in the tests
    "play": "EPISODES = 2",
    "own_game": "ITERATIONS, EPISODES = 10, 4",
    "strangers": "STRANGERS, SEEDS, ITERATIONS = 20, 2, 20",
    "shape": "EXACT_ITERATIONS, ITERATIONS = 20, 10",
}


def read(path: str | Path) -> str:
    return (REPOSITORY / path).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a document."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands(text: str) -> list[str]:
    lines = (line.strip().removeprefix("srun ") for line in "\n".join(blocks(text, "sh")).splitlines())
    return [line for line in lines if line.startswith("coplayer ")]


def rows_with_links(text: str) -> list[tuple[str, list[str]]]:
    """The rows of a document's tables that link a results page: their other words, and the pages."""
    rows = [line for line in text.splitlines() if line.startswith("|") and "results/" in line]
    return [(re.sub(r"\[.*?\]\(.*?\)", "", row), re.findall(r"\]\((?:\.\./)?(results/.*?)\)", row)) for row in rows]


@pytest.mark.parametrize("document", ["README.md", "docs/howto.md", "docs/tutorials/shape.md"])
def test_every_command_is_understood(document, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(names, "GAMES", dict(names.GAMES))
    found = commands(read(document))
    assert len(found) >= 3
    for command in found:
        job = cli.parse(shlex.split(command, comments=True)[1:], Console())
        if command.startswith(("coplayer train", "coplayer sweep")):
            _, settings, _ = job.args
            registry.experiment_of(settings).check(settings)


@pytest.mark.parametrize("document", ["README.md", "docs/howto.md"])
def test_runs_that_commands_read_are_made_by_commands_before(document):
    made, read_from = set(), 0
    for command in commands(read(document)):
        words = shlex.split(command, comments=True)[1:]
        out = words[words.index("--out") + 1] if "--out" in words else None
        for word in words:
            if word.startswith("runs/") and word != out:
                assert word in made, f"{document}: {command}"
                read_from += 1
        made.add(out)
    assert read_from >= 6


def test_the_readme_names_every_extra():
    extras = set(importlib.metadata.metadata("coplayer").get_all("Provides-Extra"))
    named = [row.split("|")[1] for row in read("README.md").splitlines() if row.startswith("| `")]
    assert extras <= set(re.findall(r"`(\w+)`", " ".join(named)))


def test_make_knows_what_the_documents_make():
    asked = {
        word for path in ("README.md", "CONTRIBUTING.md") for word in re.findall(r"`?make ([a-z-]+)\b[`\s]", read(path))
    }
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    assert {"demo", "test", "docs"} <= asked & targets


def test_the_five_lines_of_the_readme(capsys):
    """As printed, but for shorter episodes."""
    first = blocks(read("README.md"), "python")[0]
    assert len(first.strip().splitlines()) <= 6
    exec(first.replace("prisoners_dilemma()", "prisoners_dilemma(6)"), {})
    reward, cooperation = map(float, capsys.readouterr().out.split())
    assert -1 <= reward <= 2 and 0 <= cooperation <= 1


@needs_results
def test_links_lead_to_files():
    for document in files(".md"):
        for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
            path = link.partition("#")[0]
            if path and not path.startswith(("http", "mailto")):
                assert (document.parent / path).exists(), f"{document.relative_to(REPOSITORY)}: {link}"


@needs_results
@pytest.mark.parametrize(("document", "least"), [("README.md", 14), ("docs/compute.md", 16)])
def test_numbers_stand_on_the_pages_that_are_linked(document, least):
    rows = rows_with_links(read(document))
    assert len(rows) >= least
    for row, pages in rows:
        text = " ".join(read(page) for page in pages)
        for number in re.findall(r"(?<![\w.])-?\d*\.\d+|\d+ of \d+|(?<=\s)\d+(?= minutes| seconds)", row):
            assert number in text, f"{document}: {number} of {row}"


def test_the_reference_has_every_public_name():
    text = "\n".join(read(path) for path in (REPOSITORY / "docs" / "api").glob("*.md"))
    listed = {name.rpartition(".")[2] for name in re.findall(r"\.\. auto\w+:: (\S+)", text)}
    assert set(cp.__all__) <= listed, set(cp.__all__) - listed


@needs_results
@pytest.mark.long
@pytest.mark.parametrize("tutorial", SHORT)
def test_tutorials_run(tutorial):
    reader = pytest.importorskip("myst_nb.core.read", reason="needs coplayer[docs]")
    nbclient = pytest.importorskip("nbclient", reason="needs coplayer[docs]")
    from myst_parser.config.main import MdParserConfig

    path = REPOSITORY / "docs" / "tutorials" / f"{tutorial}.md"
    text = path.read_text(encoding="utf-8")
    notebook = reader.read_myst_markdown_notebook(text, MdParserConfig(), code_directive="{code-cell}")
    [parameters] = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    parameters.source = SHORT[tutorial]
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(path.parent)}}).execute()


@pytest.fixture
def conf(monkeypatch):
    """What the site is built by."""
    monkeypatch.setattr(typing, "GENERATING_DOCUMENTATION", None, raising=False)  # conf.py sets it
    return runpy.run_path(str(REPOSITORY / "docs" / "conf.py"))


def test_the_site_has_all_agents_of_the_package_on_pages_that_are_linked(conf):
    assert sorted(name for names in conf["PAGES"].values() for name in names) == cp.pretrained.list()
    for name in conf["PAGES"]:
        assert f'href="{name}"' in read("docs/page.md") and f'href="{name}"' in read("docs/index.md")


@pytest.mark.parametrize(
    ("docstring", "shown"),
    [
        (["What it is.", "", "    a = b", "    c = d", "", "More."], "What it is.||::||    a = b|    c = d||More."),
        (["What it is", "    and goes on."], "What it is|    and goes on."),
        (["    a = b"], "    a = b"),
        (["Alias for field number 0"], ""),
    ],
)
def test_the_site_shows_formulas_of_docstrings_as_they_stand(conf, docstring, shown):
    conf["show_formulas"](None, "function", "name", None, None, docstring)
    assert "|".join(docstring) == shown


def test_every_tutorial_is_run():
    assert set(SHORT) == {path.stem for path in (REPOSITORY / "docs" / "tutorials").glob("*.md")}
