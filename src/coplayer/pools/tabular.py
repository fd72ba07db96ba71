"""The tabular pool: memory-1 players, one drawn for each episode. The papers draw each one's action distributions
uniformly; a pool can hold fixed players too, or only such.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer, PRNGKeyArray

from coplayer.errors import CoplayerError, require
from coplayer.games.matrix import START, MatrixGame, observe
from coplayer.players.memory1 import PRISONERS_DILEMMA_STRATEGIES, cooperation, named_strategy, sample


class TabularPool(NamedTuple):
    """Which memory-1 players there are; every entry is equally likely. Hashable, a constant under `jit`."""

    fresh: bool = True  # one entry is a new uniformly random player each time
    fixed: tuple = ()  # tables [observation][action], an entry each


UNIFORM = TabularPool()
LEAST_PROBABILITY = 1e-4  # smaller ones count as this where a logarithm is taken


def pool_of(entries: tuple[str, ...], game: MatrixGame) -> TabularPool:
    """A pool from words: "uniform", the name of a strategy, or probabilities of action 0 for START and each joint
    action, separated by commas. Names and probabilities need a two-action game.
    """
    require(bool(entries), "pool: must have at least one entry")
    require(entries.count("uniform") <= 1, "pool: uniform must not be named more than once")
    require(
        entries == ("uniform",) or game.num_actions == 2,
        f"pool: entries other than uniform need a game of two actions, this one has {game.num_actions}",
    )
    fixed = tuple(_table(entry) for entry in entries if entry != "uniform")
    return TabularPool("uniform" in entries, fixed)


def random_actions(game: MatrixGame) -> TabularPool:
    """A pool of one player, whose every action is uniformly random."""
    row = (1 / game.num_actions,) * game.num_actions
    return TabularPool(fresh=False, fixed=((row,) * game.num_observations,))


def _table(entry: str) -> tuple:
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
    key: PRNGKeyArray, game: MatrixGame, batch: int, pool: TabularPool = UNIFORM
) -> Float[Array, "observations actions batch"]:
    """A memory-1 player for each of `batch` episodes. A fresh one has, with two actions, cooperation probabilities
    uniform in [0, 1] (Weis et al. 2026, the tabular agents); with more, distributions uniform on the simplex. The batch
    comes last, for speed.
    """
    entries = [_fresh_tables(key, game, batch)] if pool.fresh else []
    entries += [jnp.asarray(table)[:, :, None] for table in pool.fixed]
    chosen = jax.random.randint(jax.random.fold_in(key, 1), (batch,), 0, len(entries))
    shape = (game.num_observations, game.num_actions, batch)
    return sum(jnp.where(chosen == i, entry, 0.0) for i, entry in enumerate(entries)) + jnp.zeros(shape)


def _fresh_tables(key: PRNGKeyArray, game: MatrixGame, batch: int) -> Float[Array, "observations actions batch"]:
    if game.num_actions == 2:
        cooperate = jax.random.uniform(key, (game.num_observations, batch))
        return jnp.stack([cooperate, 1 - cooperate], axis=1)
    weights = jax.random.exponential(key, (game.num_observations, game.num_actions, batch))
    return weights / weights.sum(1, keepdims=True)


def act(
    tables: Float[Array, "observations actions batch"],
    observation: Int[Array, " batch"],
    uniform: Float[Array, " batch"],
) -> Int[Array, " batch"]:
    """Each player's action after its own `observation`."""
    return sample(rows(tables, observation), uniform)


def rows(
    tables: Float[Array, "observations actions _"], observation: Integer[Array, " batch"]
) -> Float[Array, "actions batch"]:
    """Each player's action distribution after its own `observation`; one table for all, or one each."""
    return sum(jnp.where(observation == o, tables[o], 0.0) for o in range(tables.shape[0]))


def observations(joint: Integer[Array, "rounds batch"], game: MatrixGame) -> Integer[Array, "rounds batch"]:
    """What a player observed before each round, from joint actions in the view of its co-player."""
    return jnp.concatenate([jnp.full_like(joint[:1], START), observe(game.swap(joint[:-1]))])


def predictive(
    joint: Integer[Array, "rounds batch"], game: MatrixGame, pool: TabularPool = UNIFORM
) -> Float[Array, "rounds actions batch"]:
    """P(action | rounds before) of a player of the pool, for an observer who knows the pool and not the player: Bayes'
    rule. `joint`: episodes in the view of the player's co-player.

    A fresh player: Laplace's rule of succession, (k + 1) / (m + n) for an action that was taken k times in the m
    earlier rounds with the same observation. Several entries: their mean, weighted by the probability that each gave to
    the past. Only for pasts that the pool can have.
    """
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
        now = jax.nn.one_hot(observation, game.num_observations, axis=0)
        evidence = evidence + jnp.log((entries * taken).sum(1))
        return (counts + now[:, None] * taken, evidence), mixture

    joint = joint.astype(jnp.int32)
    start = (jnp.zeros((game.num_observations, n, batch)), jnp.zeros((len(fixed) + pool.fresh, batch)))
    return jax.lax.scan(step, start, (observations(joint, game), game.other_action(joint)))[1]


class TabularPlayers(eqx.Module):
    """One memory-1 player for each of a batch of episodes, as a `Player` whose state is the last observation."""

    tables: Float[Array, "observations actions batch"]

    def initial_state(self, batch: int) -> Int[Array, " batch"]:
        return jnp.full((batch,), START)

    def act(self, state: Int[Array, " batch"], key: PRNGKeyArray) -> Int[Array, " batch"]:
        return act(self.tables, state, jax.random.uniform(key, state.shape))

    def update(self, state, joint: Int[Array, " batch"], reward: Float[Array, " batch"]) -> Int[Array, " batch"]:
        return observe(joint)


def identity_size(game: MatrixGame) -> int:
    """Length of what names a tabular player."""
    return game.num_observations * game.num_actions


def identity(tables: Float[Array, "observations actions batch"]) -> Float[Array, "identity batch"]:
    """What names each tabular player to who is told it: log pi(a | o), nats, observation by observation (Weis et al.
    2026, the ablation with opponent identity). Probabilities below `LEAST_PROBABILITY` count as that.
    """
    return jnp.log(jnp.maximum(tables, LEAST_PROBABILITY)).reshape(-1, tables.shape[-1])


def opponents(
    key: PRNGKeyArray, game: MatrixGame, batch: int, pool: TabularPool = UNIFORM
) -> Float[Array, "observations actions batch"]:
    """The second players of the episodes that `play` gives for the same arguments."""
    return draw_tables(jax.random.fold_in(key, 1), game, batch, pool)


def play(key: PRNGKeyArray, game: MatrixGame, batch: int, pool: TabularPool = UNIFORM) -> Int[Array, "rounds batch"]:
    """Episodes of the pool's players among themselves: joint actions in the first one's view."""
    own = draw_tables(jax.random.fold_in(key, 0), game, batch, pool)
    other = opponents(key, game, batch, pool)
    uniforms = jax.random.uniform(jax.random.fold_in(key, 2), (game.rounds, 2, batch))

    def step(observations, uniforms):
        own_observation, other_observation = observations
        joint = game.joint(act(own, own_observation, uniforms[0]), act(other, other_observation, uniforms[1]))
        return (observe(joint), observe(game.swap(joint))), joint

    start = jnp.full((batch,), START)
    return jax.lax.scan(step, (start, start), uniforms)[1]
