"""What a word for a player means: the folder of a run, or a name of agents or of a strategy."""

import os
from pathlib import Path

from coplayer.errors import require
from coplayer.experiments.pretrained import pretrained
from coplayer.players.automaton import axelrod_automata
from coplayer.players.memory1 import PRISONERS_DILEMMA_STRATEGIES
from coplayer.runs.folder import RunFolder

ALL = "axelrod"  # all strategies of the Axelrod library that are finite automata


def run_of(word: str, setting: str) -> RunFolder | None:
    """The run folder that a word of the setting `setting` names; None where the word is no path.

    Raises `CoplayerError` for the path of something else. Raises `CoplayerError` also where a run in the current folder
    has the name of a strategy or of agents that come with the package.
    """
    is_path, is_run = "/" in word or os.sep in word, (Path(word) / "config.json").exists()
    named = not is_path and is_name(word)
    require(
        not (named and is_run),
        f"{setting}: {word} is a name and the folder of a run; write {os.path.join(os.curdir, word)} for the run, or "
        "rename the folder",
    )
    require(is_run or named or not (is_path or Path(word).is_dir()), f"{setting}: {word} is not the folder of a run")
    return RunFolder.open(word) if is_run else None


def is_name(word: str) -> bool:
    """Whether a word is the name of a strategy, of all of Axelrod's, or of agents that come with the package."""
    return word == ALL or word in (*pretrained.list(), *PRISONERS_DILEMMA_STRATEGIES, *axelrod_automata())
