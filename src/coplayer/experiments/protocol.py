"""What an experiment must supply to be trained, resumed, evaluated, joined and reported."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from coplayer.figures.published import Panel
from coplayer.play.player import Player
from coplayer.runs.training import Training


class Recipe(NamedTuple):
    """Settings of an experiment under a name of their own: a command of `coplayer train`."""

    shows: str  # one line for the command's help
    source: str  # where it was published
    presets: Mapping[str, Any]  # settings by "quick" and "paper"


@runtime_checkable
class Experiment(Protocol):
    """A module, or any object, with these members; `registry.register` makes it known.

    Its settings are a frozen dataclass with a default for every field: `game`, `run` (`RunSettings`), and other groups
    (see `coplayer.settings`). No two settings have one name, whatever their groups, and none has that of a flag of
    every command (`registry.TAKEN`). A setting of the type `Path | None` is the folder of another run.

    Its training gives rows of metrics with the numbers `phase`, `seed` and `learner` (see `runs.training.Chunk`). A
    report shows metrics of these names, with every measure in `Game.measures`. Against other learners:
    `reward_vs_learner` and `<measure>_vs_learner`. Against co-players of another kind: `reward_vs_<kind>` and
    `<measure>_vs_<kind>`. Of those co-players themselves: `reward_of_<kind>` and `<measure>_of_<kind>`. An experiment's
    own figures are entries in `reproduce.report.MORE_FIGURES`.
    """

    NAME: str
    """The experiment's name in config.json."""
    RECIPES: Mapping[str, Recipe]
    """Its commands by name; the first is the experiment itself."""
    LENDS_AGENTS: bool
    """Whether other runs may take a finished run's agents as frozen co-players, or start from them."""
    JOINABLE: bool
    """Whether seeds trained apart can be put together: all arrays then begin with the axes [learner, seed]."""

    def check(self, settings: Any) -> None:
        """Refuse settings that cannot be trained, by a `CoplayerError` that names the setting and what is allowed."""

    def Trainer(self, settings: Any, **given: Any) -> Training:
        """The training. `given` is what it takes from the runs that the settings name. `frozen`: a player with the
        leading axes [learner, seed], whom each learner meets. `start`: the run to start from (`mixed_pool.Source`).
        """

    def players(self, settings: Any, agents: dict[str, np.ndarray], *, phase: int, seed: int) -> list[Player]:
        """The agents of one seed, ready to play, from the arrays of the agents file of `phase`. Agent i sits in seat i
        of the game, counted around the table.
        """

    def match_episodes(self, settings: Any) -> int:
        """Episodes in a row of a match in which the agents are evaluated; 1 unless they remember more than one."""

    def panel(self, settings: Any) -> Panel:
        """How the training curves are drawn, and beside which published ones."""
