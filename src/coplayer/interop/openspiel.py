"""OpenSpiel (https://github.com/google-deepmind/open_spiel): the payoffs of its matrix games as games of ours.

    pip install 'coplayer[openspiel]'

Only payoffs are taken. Every game of two players with the same number of actions is read, whatever it is called there:

    game = as_matrix_game("matrix_sh", rounds=20)  # the stag hunt
"""

from typing import Any

import numpy as np

from coplayer.errors import CoplayerError, first_line, imported, require
from coplayer.games.matrix import COOPERATE, MatrixGame


def library() -> Any:
    """The module `pyspiel`. Raises `CoplayerError` where it is not installed."""
    return imported("pyspiel", "openspiel")


def matrix_games() -> tuple[str, ...]:
    """The names of OpenSpiel's matrix games, such as matrix_pd."""
    pyspiel = library()
    return tuple(sorted(name for name in pyspiel.registered_names() if name.startswith("matrix_")))


def as_matrix_game(game: Any, rounds: int = 100, *, cooperation: int = COOPERATE) -> MatrixGame:
    """The payoffs of a matrix game of OpenSpiel, played for `rounds` rounds. Actions keep their numbers.

    `game`: a name such as "matrix_pd", with parameters if it has some, or a game that OpenSpiel has loaded.
    `cooperation`: the action that is reported as cooperation. OpenSpiel's prisoner's dilemma and stag hunt have it
    first. Raises `CoplayerError` for a name that OpenSpiel does not know, and where OpenSpiel is not installed. Raises
    `CoplayerError` also for a game that is not given by two matrices, or whose players have different numbers of
    actions.
    """
    pyspiel = library()
    if isinstance(game, str):
        try:
            game = pyspiel.load_game(game)
        except (RuntimeError, pyspiel.SpielError) as error:
            known = ", ".join(matrix_games())
            raise CoplayerError(f"game: must be one of {known}; OpenSpiel says: {first_line(error)}") from error
    require(isinstance(game, pyspiel.Game), f"game: must be a name or a game of OpenSpiel, got {game!r}")
    name = game.get_type().short_name
    require(isinstance(game, pyspiel.MatrixGame), f"game: {name} is no matrix game of OpenSpiel")
    rows, columns = game.num_rows(), game.num_cols()
    require(rows == columns, f"game: {name} has {rows} and {columns} actions; a MatrixGame has as many for both")
    payoffs = np.stack([game.row_utilities(), np.transpose(game.col_utilities())])
    return MatrixGame(payoffs, rounds, cooperation)
