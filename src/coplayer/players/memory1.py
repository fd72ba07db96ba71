"""Memory-1 players, who have an action distribution for each observation, and the named strategies."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from coplayer.errors import CoplayerError, require
from coplayer.games.game import Game, Symbol
from coplayer.games.matrix import COOPERATE, MatrixGame
from coplayer.networks.layers import sample
from coplayer.play.player import Player, uniform

# P(cooperate) after START, CC, CD, DC, DD (own action first).
PRISONERS_DILEMMA_STRATEGIES: Mapping[str, tuple[float, ...]] = {
    "always_cooperate": (1, 1, 1, 1, 1),
    "always_defect": (0, 0, 0, 0, 0),
    "tit_for_tat": (1, 1, 0, 1, 0),
    "win_stay_lose_shift": (1, 1, 0, 0, 1),
    "generous_tit_for_tat": (1, 1, 1 / 3, 1, 1 / 3),
    "grim_trigger": (1, 1, 0, 0, 0),
    "random": (0.5, 0.5, 0.5, 0.5, 0.5),
}


LEAST_PROBABILITY = 1e-4  # in logarithms, smaller probabilities count as this one


class Memory1(Player):
    """A memory-1 player of a matrix game, or a batch of such players: `probabilities[..., observation, action]`.

    A single player can play at any number of tables. A batch `[batch, observation, action]` has one player per table.
    """

    probabilities: Float[Array, "*batch observations actions"]

    def __init__(self, probabilities):
        """`probabilities`: the last axis is an action distribution, the last but one the observation, START first.

        Raises `CoplayerError` for numbers that are no probabilities. Traced arrays are taken as they are.
        """
        if not isinstance(probabilities, jax.core.Tracer):
            table = _numbers(probabilities)
            require(
                table.size > 0 and table.ndim >= 2 and table.shape[-2] == 1 + table.shape[-1] ** 2,
                f"probabilities: shape must be (..., 1 + n * n, n), got {table.shape}",
            )
            _check_range(table)
            require(bool(np.allclose(table.sum(-1), 1, atol=1e-5)), "probabilities: every row must sum to 1")
        self.probabilities = jnp.asarray(probabilities, dtype=float)  # float64 where JAX has it enabled

    @property
    def takes_uniforms(self) -> bool:
        return True

    def check(self, game: Game) -> None:
        _check_table(game, *self.probabilities.shape[-2:])
        require(
            isinstance(game, MatrixGame),
            "player: a Memory1 plays matrix games, after START and each joint action; use TabularPlayers",
        )

    def begin(self, key, batch):
        check_batch(self.probabilities.shape[:-2], batch)
        return None

    def act(self, state, observation, key):
        table = jnp.broadcast_to(self.probabilities, (*observation.shape, *self.probabilities.shape[-2:]))
        chosen = jnp.take_along_axis(table, observation[:, None, None], axis=1)[:, 0]
        return state, sample(jnp.moveaxis(chosen, -1, 0), uniform(key, observation.shape)), None


class TabularPlayers(Player):
    """A memory-1 player for each of a batch of tables, in any game whose observations are symbols.

    `tables[observation, action, batch]` are action distributions. The batch comes last, for speed.
    """

    tables: Float[Array, "observations actions batch"]

    def __init__(self, tables):
        """Raises `CoplayerError` for numbers that are no probabilities. Traced arrays are taken as they are."""
        if not isinstance(tables, jax.core.Tracer):
            table = _numbers(tables)
            require(table.size > 0 and table.ndim == 3, f"tables: shape must be (o, a, batch), got {table.shape}")
            _check_range(table)
            require(bool(np.allclose(table.sum(1), 1, atol=1e-5)), "tables: every action distribution must sum to 1")
        self.tables = jnp.asarray(tables)

    @property
    def takes_uniforms(self) -> bool:
        return True

    def check(self, game: Game) -> None:
        _check_table(game, *self.tables.shape[-3:-1])

    def begin(self, key, batch):
        check_batch(self.tables.shape[2:], batch)
        return None

    def act(self, state, observation, key):
        return state, sample(rows(self.tables, observation), uniform(key, observation.shape)), None


def _check_range(table: np.ndarray) -> None:
    require(
        bool(((table >= 0) & (table <= 1)).all()),
        f"probabilities: every entry must lie in [0, 1], got {table.min():g} to {table.max():g}",
    )


def check_batch(have: tuple[int, ...], batch: int) -> None:
    """Refuse to play at `batch` tables with players of another number: `have` is the shape of their batch."""
    count = " x ".join(map(str, have))
    require(have in ((), (1,), (batch,)), f"player: is a batch of {count} players, one per table, at {batch} tables")


def _check_table(game: Game, observations: int, actions: int) -> None:
    require(
        isinstance(game.observation_space, Symbol),
        "player: a table of probabilities needs a game whose observations are symbols, those of this game are vectors",
    )
    require(
        actions == game.num_actions,
        f"player: its table is made for {actions} actions, this game has {game.num_actions}",
    )
    require(
        observations == game.observation_space.size,
        f"player: its table is made for {observations} observations, this game has {game.observation_space.size}",
    )


def rows(
    tables: Float[Array, "observations actions _"], observation: Integer[Array, " batch"]
) -> Float[Array, "actions batch"]:
    """Each player's action distribution after its own `observation`. `_` is the batch, or 1: one table for all."""
    return sum(jnp.where(observation == o, tables[o], 0.0) for o in range(tables.shape[0]))


def identity_size(game: Game) -> int:
    """Length of the identity vector of a tabular player (see `identity`)."""
    return game.observation_space.size * game.num_actions


def identity_of(tables: Float[Array, "observations actions batch"]) -> Float[Array, "identity batch"]:
    """The identity vector of each tabular player, for learners that are told whom they meet (Weis et al. 2026, the
    ablation with opponent identity). The vector is log pi(a | o) in nats, observation by observation. Probabilities
    below `LEAST_PROBABILITY` count as `LEAST_PROBABILITY`.
    """
    return jnp.log(jnp.maximum(tables, LEAST_PROBABILITY)).reshape(-1, tables.shape[-1])


def _numbers(probabilities) -> np.ndarray:
    try:
        return np.asarray(probabilities, dtype=float)
    except (TypeError, ValueError) as error:
        raise CoplayerError("probabilities: must be numbers, every row of the same length") from error


def cooperation(probabilities) -> Memory1:
    """A memory-1 player of a two-action game, from P(action 0) after START, CC, CD, DC, DD: shape (..., 5).

    Raises `CoplayerError` for another shape, and for numbers that are no probabilities. Traced arrays are taken as they
    are.
    """
    traced = isinstance(probabilities, jax.core.Tracer)
    cooperate = probabilities if traced else _numbers(probabilities)
    require(cooperate.shape[-1:] == (5,), f"probabilities: the last axis must have 5 entries, got {cooperate.shape}")
    if not traced:
        _check_range(cooperate)
    return Memory1((jnp if traced else np).stack([cooperate, 1 - cooperate], axis=-1))


def fits_named_strategies(game: Game) -> bool:
    """Whether strategies by name, and those of five probabilities of cooperation, have a meaning in a game. The game
    must be a matrix game of two actions, of which action 0 cooperates.
    """
    return isinstance(game, MatrixGame) and game.num_actions == 2 and game.cooperation == COOPERATE


def named_strategy(name: str) -> Memory1:
    """A strategy of the prisoner's dilemma by its name among `PRISONERS_DILEMMA_STRATEGIES`, such as "tit_for_tat".

    Raises `CoplayerError` for a name that is not there.
    """
    require(
        isinstance(name, str) and name in PRISONERS_DILEMMA_STRATEGIES,
        f"strategy: {name!r} is not one of {', '.join(PRISONERS_DILEMMA_STRATEGIES)}",
    )
    return cooperation(PRISONERS_DILEMMA_STRATEGIES[name])
