"""No text has a sentence that is too long to be read once."""

import pytest

from texts import REPOSITORY, docstrings, files, long_sentences, prose

WORDS = " word" * 24  # with one word more a sentence is as long as it may be
LONG = f"A{WORDS} more."


def too_long(texts):
    """The long sentences of `texts`, pairs of a file and a text, by file."""
    found = {}
    for path, text in texts:
        if long := long_sentences(text):
            found.setdefault(str(path.relative_to(REPOSITORY)), []).extend(long)
    return found


@pytest.mark.parametrize("folder", ["benchmarks", "docs", "examples", "src", "tests", "tools"])
def test_docstrings_are_in_sentences_of_at_most_25_words(folder):
    modules = [path for path in files(".py") if REPOSITORY / folder in path.parents]
    texts = [(path, text) for path in modules for text in docstrings(path.read_text(encoding="utf-8"))]
    assert len(texts) >= len(modules) > 0
    assert too_long(texts) == {}


def test_documents_are_in_sentences_of_at_most_25_words():
    """Generated ones too: their sentences stand in the code that writes them."""
    documents = files(".md")
    assert len(documents) > 20
    assert too_long((path, prose(path.read_text(encoding="utf-8"))) for path in documents) == {}


@pytest.mark.parametrize(
    "text",
    [
        LONG,
        f"Short. {LONG} Short.",
        f"**Short.** {LONG}",
        f"(Short.) {LONG}",
        f"- Short\n- {LONG}",
        f"1. {LONG}",
        f"No end\n\n{LONG}",
    ],
)
def test_a_long_sentence_is_found(text):
    assert long_sentences(text) == [LONG]


def test_one_word_less_is_not_too_long():
    assert long_sentences(f"A{WORDS}. A{WORDS}\n\nA{WORDS}\n- A{WORDS}!\n* A{WORDS}?") == []


@pytest.mark.parametrize("inside", ["so et al. 2025 say", "1 + ... + n"])
def test_an_abbreviation_ends_no_sentence(inside):
    [found] = long_sentences(f"A{WORDS} {inside}.")
    assert found.endswith(f"{inside}.")


def test_what_has_no_sentences_is_left_out_of_a_document():
    left_out = [
        f"# {LONG}",
        f"| {LONG} | {LONG} |",
        f"```sh\n{LONG}\n```",
        f"~~~\n{LONG}\n\n{LONG}\n~~~",
        f":::{{note}}\n{LONG}\n:::",
        f"    {LONG}\n    {LONG}",
        f"<!-- {LONG}\n{LONG} -->",
        f"See [a page](<{LONG}>) and <a href='{LONG}'>another</a>.",
    ]
    assert long_sentences(prose(f"---\ntitle: {LONG}\n---\n" + "\n\n".join(left_out))) == []
    [found] = long_sentences(prose(f"{left_out[2]}\n\nSee [the{WORDS}\npage](x.md). Short.\n\n{left_out[1]}"))
    assert found == f"See [the{WORDS} page]."


def test_docstrings_of_all_kinds_are_read_without_their_formulas():
    code = f'''
        """{LONG}

            {LONG}
        """

        NUMBER = 1
        """{LONG}"""


        class One:
            """Short."""

            field: int
            """{LONG}"""

            def method(self):
                """{LONG}

                    {LONG}

                - {LONG}
                  Short.
                """
                return "{LONG}"
    '''
    code = "\n".join(line.removeprefix("        ") for line in code.split("\n"))
    assert [long for text in docstrings(code) for long in long_sentences(text)] == [LONG] * 5
