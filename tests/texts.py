"""The repository's texts, and their sentences."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
FOLDERS = ("benchmarks", "docs", "examples", "results", "src", "tests", "tools")
MOST_WORDS = 25

ENTRY = r"\ *(?:[-*]|\d+\.)\ "  # how an entry of a list begins
END = re.compile(
    rf"""(?: \A
    | (?: (?<=[.!?]) | (?<=[.!?][)"”*]) | (?<=[.!?]\*\*) ) (?<!\bal\.) (?<!\.\.\.) \s+
    | \n\s*\n
    | \n(?={ENTRY})
    ) (?:{ENTRY})?""",
    re.VERBOSE,
)
NO_SENTENCES = re.compile(
    r"""\A---\n.*?\n---\n  # the front matter of a notebook
    | <!--.*?-->  # comments
    | ^(\ *)(`{3,}|~{3,}|:{3,})[^\n]*\n.*?^\1\2\ *$  # code, and directives of the site
    | (?<=\n\n)(?:\ {4}[^\n]*(?:\n|\Z))+  # indented code
    | ^\ *[|\#][^\n]*$  # tables and headings
    | <[a-z/][^>\n]*>  # HTML
    | (?<=\])\([^)]*\)  # addresses of links
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)


def files(ending: str) -> list[Path]:
    """All files of the repository with this ending, but for the site that is made."""
    places = [REPOSITORY.glob(f"*{ending}"), *((REPOSITORY / folder).rglob(f"*{ending}") for folder in FOLDERS)]
    return sorted(path for place in places for path in place if "_build" not in path.parts)


def long_sentences(text: str) -> list[str]:
    """The sentences of more than `MOST_WORDS` words. What stands between spaces is a word, also the + of a formula.

    A sentence ends at the latest where its paragraph, or its entry in a list, ends.
    """
    sentences = (sentence.split() for sentence in END.split(text))
    return [" ".join(words) for words in sentences if len(words) > MOST_WORDS]


def prose(document: str) -> str:
    """A Markdown document without what nobody reads in sentences: see `NO_SENTENCES`."""
    return NO_SENTENCES.sub("", document)


def docstrings(code: str) -> Iterator[str]:
    """The docstrings of a module, its classes, functions and fields, without what is indented by four within them.

    Formulas, code and lists of names are indented so.
    """
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            for line in node.body:
                if isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant):
                    indented = rf"^ {{{line.col_offset + 4},}}\S.*$"
                    yield re.sub(indented, "", str(line.value.value), flags=re.MULTILINE)
