"""The documentation site, built by `make docs` from the repository alone.

The site's source folder is the repository itself. So links between docs, results and code are the same in the
repository and on the site. Notebooks under docs/tutorials are run; their outputs are kept until their code changes.
"""

import typing
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

typing.GENERATING_DOCUMENTATION = "coplayer"  # jaxtyping and equinox then print the names that users import

project = "coplayer"
author = "coplayer developers"
copyright = f"2026, {author}"
version = release = version_of("coplayer")

root_doc = "docs/index"
include_patterns = ["docs/**", "results/**", "CHANGELOG.md", "CONTRIBUTING.md"]
exclude_patterns = [".*", ".venv", "benchmarks", "dist", "docs/_build", "examples", "runs", "src", "tests", "tools"]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
suppress_warnings = ["toc.not_included"]  # tables and trials under results/, which the results pages link

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

nb_execution_mode = "cache"
nb_execution_cache_path = "docs/_build/notebooks"
nb_execution_timeout = 1200  # seconds for one cell
nb_execution_raise_on_error = True
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
default_role = "code"

html_theme = "furo"
html_title = f"coplayer {release}"
html_extra_path = ["_extra"]
html_show_sourcelink = False

PAGES = {
    "play.html": ("ppi-mixed", "ppi-step1", "ppi-step2", "a2c-strangers", "coala-ipd", "exact-shaper"),
    "orchard.html": ("cleanup-mixed",),
}
"""Pages to play against the agents that come with the package, made anew beside docs/page.html at every build."""


def make_pages(app: Any, error: Exception | None) -> None:
    """Put the pages of `PAGES` onto the site, once the rest is there."""
    from coplayer.experiments.page import make_page

    if error is not None or app.builder.format != "html":
        return
    for name, agents in PAGES.items():
        path = Path(app.outdir) / "docs" / name
        path.unlink(missing_ok=True)
        make_page(agents, path)


def show_formulas(app: Any, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    """Show the indented blocks of a docstring, which are formulas, as they stand; leave out what says nothing."""
    if lines and lines[0].startswith("Alias for field number"):
        lines.clear()
    marked: list[str] = []
    for line in lines:
        opens = line.startswith("    ") and not (marked[1:] and marked[-2].startswith("    "))
        if opens and marked[-1:] == [""]:
            marked += ["::", ""]
        marked.append(line)
    lines[:] = marked


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", show_formulas)
    app.connect("build-finished", make_pages)
