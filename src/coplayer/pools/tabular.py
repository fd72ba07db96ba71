"""The tabular pool: memory-1 players, one drawn for each episode. The papers draw each one's action distributions
uniformly; a pool can hold fixed players too, or only such.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from coplayer.errors import CoplayerError, require
from coplayer.games.game import Game, Symbol
from coplayer.games.matrix import MatrixGame
from coplayer.play.player import Player
from coplayer.play.rollout import play_rounds
from coplayer.play.tables import table_keys, tables_of
from coplayer.play.trajectory import Trajectory, observations
from coplayer.players.memory1 import (
    PRISONERS_DILEMMA_STRATEGIES,
    TabularPlayers,
    cooperation,
    fits_named_strategies,
    named_strategy,
    rows,
)


class TabularPool(NamedTuple):
    """Which memory-1 players there are; every entry is equally likely. Hashable, a constant under `jit`."""

    fresh: bool = True  # one entry is a new uniformly random player each time
    fixed: tuple = ()  # tables [observation][action], an entry each
    noise: float = 0.0  # probability that a player's hand trembles: another action is taken, each equally likely


UNIFORM = TabularPool()


def has_tables(game: Game) -> bool:
    """Whether a player of the game can be a table of action distributions: its observations are symbols."""
    return isinstance(game.observation_space, Symbol)


def pool_of(entries: tuple[str, ...], game: Game) -> TabularPool:
    """A pool from words: "uniform", "random", the name of a strategy, or probabilities of action 0 for START and each
    joint action, separated by commas. Names and probabilities need a matrix game of two actions; "random" (every action
    uniformly random) and "uniform" need a game whose observations are symbols.
    """
    require(
        isinstance(entries, tuple | list) and all(isinstance(entry, str) for entry in entries),
        f"pool: must be a tuple of strings such as ('uniform', 'tit_for_tat'), got {entries!r}",
    )
    require(bool(entries), "pool: must have at least one entry")
    require(entries.count("uniform") <= 1, "pool: uniform must not be named more than once")
    require_symbols(game)
    fixed = tuple(_table(entry, game) for entry in entries if entry != "uniform")
    return TabularPool("uniform" in entries, fixed)


def require_symbols(game: Game) -> None:
    """Refuse a game in which there are no strangers, whatever the pool."""
    require(
        has_tables(game),
        "pool: strangers need a game whose observations are symbols, those of this game are vectors; "
        "use learner_share = 1",
    )


def require_cooperation(entry: str, game: Game) -> None:
    """Refuse an entry of a pool whose strangers cooperate and defect, in a game where that has no meaning."""
    require(
        fits_named_strategies(game),
        f"pool: {entry!r} needs a matrix game of two actions, of which action 0 cooperates; this game allows uniform "
        "and random",
    )


def random_actions(game: Game) -> TabularPool:
    """A pool of one player, whose every action is uniformly random."""
    return TabularPool(fresh=False, fixed=(_random_table(game),))


def _random_table(game: Game) -> tuple:
    row = (1 / game.num_actions,) * game.num_actions
    return (row,) * game.observation_space.size


def _table(entry: str, game: Game) -> tuple:
    if entry == "random":
        return _random_table(game)
    require_cooperation(entry, game)
    with jax.ensure_compile_time_eval():  # a pool is a constant, wherever it is made
        if entry in PRISONERS_DILEMMA_STRATEGIES:
            player = named_strategy(entry)
        else:
            try:
                player = cooperation([float(word) for word in entry.split(",")])
            except ValueError as error:
                reason = f" ({error})" if isinstance(error, CoplayerError) else ""
                names = ", ".join(("uniform", *PRISONERS_DILEMMA_STRATEGIES))
                raise CoplayerError(f"pool: {entry!r} is not {names}, or five probabilities{reason}") from error
        return tuple(map(tuple, np.asarray(player.probabilities, dtype=float).tolist()))


def draw_tables(
    key: PRNGKeyArray, game: Game, batch: int, pool: TabularPool = UNIFORM
) -> Float[Array, "observations actions batch"]:
    """A memory-1 player for each of `batch` episodes. With two actions, a fresh one has cooperation probabilities
    uniform in [0, 1] (Weis et al. 2026, the tabular agents). With more actions, it has distributions uniform on the
    simplex. The batch comes last, for speed.
    """
    entries = [_fresh_tables(key, game, batch)] if pool.fresh else []
    entries += [jnp.asarray(table)[:, :, None] for table in pool.fixed]
    chosen = jax.random.randint(jax.random.fold_in(key, 1), (batch,), 0, len(entries))
    shape = (game.observation_space.size, game.num_actions, batch)
    tables = sum(jnp.where(chosen == i, entry, 0.0) for i, entry in enumerate(entries)) + jnp.zeros(shape)
    return tables if not pool.noise else tables + pool.noise * ((1 - tables) / (game.num_actions - 1) - tables)


def _fresh_tables(key: PRNGKeyArray, game: Game, batch: int) -> Float[Array, "observations actions batch"]:
    if game.num_actions == 2:
        cooperate = jax.random.uniform(key, (game.observation_space.size, batch))
        return jnp.stack([cooperate, 1 - cooperate], axis=1)
    weights = jax.random.exponential(key, (game.observation_space.size, game.num_actions, batch))
    return weights / weights.sum(1, keepdims=True)


@eqx.filter_jit
def predictive(
    joint: Integer[Array, "rounds batch"], game: MatrixGame, pool: TabularPool = UNIFORM
) -> Float[Array, "rounds actions batch"]:
    """P(action | rounds before) of a player of the pool, for an observer who knows the pool and not the player: Bayes'
    rule. `joint`: episodes in the view of the player's co-player.

    A fresh player follows Laplace's rule of succession. The probability is (k + 1) / (m + n) for an action taken k
    times in the m earlier rounds with the same observation. Several entries: their mean, weighted by the probability
    that each gave to the past. Only for pasts that the pool can have. Raises `CoplayerError` for a pool with noise.
    """
    require(not pool.noise, f"pool_noise: what a pool predicts is known without noise alone, got {pool.noise}")
    n, batch = game.num_actions, joint.shape[1]
    fixed = [jnp.asarray(table)[:, :, None] for table in pool.fixed]

    def step(carry, at):
        counts, evidence = carry
        observation, action = at
        seen = rows(counts, observation) + 1
        entries = [seen / seen.sum(0)] if pool.fresh else []
        entries = jnp.stack(entries + [rows(table, observation) for table in fixed])
        mixture = (jax.nn.softmax(evidence, axis=0)[:, None] * entries).sum(0)
        taken = jax.nn.one_hot(action, n, axis=0)
        now = jax.nn.one_hot(observation, game.observation_space.size, axis=0)
        evidence = evidence + jnp.log((entries * taken).sum(1))
        return (counts + now[:, None] * taken, evidence), mixture

    joint = joint.astype(jnp.int32)
    observed = observations(game.swap(joint), game.rounds)  # by the player
    start = (jnp.zeros((game.observation_space.size, n, batch)), jnp.zeros((len(fixed) + pool.fresh, batch)))
    return jax.lax.scan(step, start, (observed, game.other_action(joint)))[1]


def opponents(
    key: PRNGKeyArray, game: Game, batch: int, pool: TabularPool = UNIFORM
) -> Float[Array, "observations actions batch"]:
    """The second players of the episodes that `play` gives for the same arguments."""
    return draw_tables(jax.random.fold_in(key, 1), game, batch, pool)


def play(key: PRNGKeyArray, game: Game, batch: int, pool: TabularPool = UNIFORM) -> Trajectory:
    """Episodes of the pool's players among themselves, in a two-player game."""
    players = (
        TabularPlayers(draw_tables(jax.random.fold_in(key, 0), game, batch, pool)),
        TabularPlayers(opponents(key, game, batch, pool)),
    )
    return play_among(key, game, batch, players)


def play_among(key: PRNGKeyArray, game: Game, batch: int, players: tuple[Player, Player]) -> Trajectory:
    """Episodes of two players, each one player per table, who draw one uniform number per round."""
    uniforms = jax.random.uniform(jax.random.fold_in(key, 2), (game.rounds, 2, batch))
    beginning = jax.random.fold_in(key, 4)
    states = tuple(player.begin(beginning, batch) for player in players)
    tables = tables_of(game)
    world = tables.open(table_keys(jax.random.fold_in(key, 3), batch))
    played = play_rounds(tables, players, world, states, (uniforms[:, 0], uniforms[:, 1]))
    return played.trajectory(tables)
