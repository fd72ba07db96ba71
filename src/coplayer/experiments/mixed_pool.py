"""What experiments with two learners in the mixed pool share (Weis et al. 2026, section 3).

A config of such an experiment has the fields `payoffs`, `rounds`, `seeds`, `seed` and `seed_batch`. Arrays of all
learners and seeds have the leading axes [learner, seed]; learner i sits in seat i of the game.
"""

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Key

from coplayer.errors import CoplayerError, require
from coplayer.experiments.axes import LEARNERS, map_learners_and_seeds
from coplayer.games.matrix import COOPERATE, MatrixGame
from coplayer.pools import tabular
from coplayer.runs import checkpoint

NUM_LEARNERS = 2


def make_game(config: Any) -> MatrixGame:
    """The game of a config: of n * n payoffs, or of 2 * n * n where the two players' tables differ."""
    payoffs, rounds = config.payoffs, config.rounds
    count = len(payoffs)
    for tables in (1, 2):
        actions = math.isqrt(count // tables)
        if actions >= 2 and tables * actions**2 == count:
            return MatrixGame(np.reshape(payoffs, (tables, actions, actions)).repeat(3 - tables, 0), rounds)
    raise CoplayerError(f"payoffs: needs n * n numbers, or 2 * n * n, for n >= 2 actions; got {count}")


def check_numbers(config: Any, may_be_zero: set[str]) -> None:
    """Refuse a config with a number that is not finite, or not above 0 (at least 0 for those named)."""
    for field in fields(config):
        value = getattr(config, field.name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            zero = field.name in may_be_zero
            require(
                math.isfinite(value) and (value > 0 or (zero and value == 0)),
                f"{field.name}: must be a finite number {'of at least' if zero else 'above'} 0, got {value}",
            )


def check_seed(config: Any, seed: int) -> None:
    """Refuse a seed that a run does not have."""
    require(
        config.seed <= seed < config.seed + config.seeds,
        f"seed: this run has seeds {config.seed} to {config.seed + config.seeds - 1}, got {seed}",
    )


def seed_batch(config: Any) -> int:
    """Seeds side by side: as asked, or all on a GPU and one at a time on a CPU."""
    asked = config.seed_batch or (1 if jax.default_backend() == "cpu" else config.seeds)
    return min(asked, config.seeds)


def mapped(config: Any, function: Callable, num_learners: int = NUM_LEARNERS) -> Callable:
    """`function(mapped, shared)` of one learner and seed, compiled for all of them; consumes its first argument."""
    both = map_learners_and_seeds(function, num_learners=num_learners, seed_batch=seed_batch(config))
    return jax.jit(both, donate_argnums=0)


def keys(config: Any, num_learners: int = NUM_LEARNERS) -> Key[Array, "learner seed"]:
    """One key a learner and seed: equal for a seed whatever the other seeds are."""
    seeds = config.seed + jnp.arange(config.seeds)
    by_seed = jax.vmap(jax.random.key)(seeds)
    return jax.vmap(lambda learner: jax.vmap(lambda key: jax.random.fold_in(key, learner))(by_seed))(
        jnp.arange(num_learners)
    )


def own_payoffs(game: MatrixGame) -> Float[Array, " joint"]:
    """The payoff vector of the learner whose turn it is in a mapped function."""
    seats = jnp.stack([game.payoff_vector(player) for player in range(NUM_LEARNERS)])
    return seats[jax.lax.axis_index(LEARNERS)]


def contexts(
    size: int, split: int, tables: Float[Array, "observations actions tabular"]
) -> Float[Array, "context batch"]:
    """What names the co-player of each episode, `size` numbers: zeros for the learner, whom the first `split` are
    against, and a tabular player's identity; or, of size 0, nothing.
    """
    if not size:
        return jnp.zeros((0, split + tables.shape[-1]))
    return jnp.concatenate([jnp.zeros((size, split)), tabular.identity(tables)], axis=1)


def play_metrics(
    joint: Integer[Array, "*blocks rounds episodes"], payoffs: Float[Array, " joint"], game: MatrixGame, split: int
) -> dict[str, Array]:
    """Means over episodes, of which the first `split` are against the learner and the others, if any, against tabular
    players: rates of action 0, rewards of the game a round, and the rate over the last quarter of the rounds.
    """
    cooperates = (game.own_action(joint) == COOPERATE).astype(jnp.float32)
    reward = payoffs[joint]
    late = game.rounds - max(1, game.rounds // 4)
    metrics = {
        "cooperation_vs_learner": cooperates[..., :split].mean(),
        "reward_vs_learner": reward[..., :split].mean(),
        "late_cooperation_vs_learner": cooperates[..., late:, :split].mean(),
    }
    if split < joint.shape[-1]:
        metrics["cooperation_vs_tabular"] = cooperates[..., split:].mean()
        metrics["reward_vs_tabular"] = reward[..., split:].mean()
    return metrics


def metric_rows(config: Any, values: dict[str, Any], **where: int) -> list[dict]:
    """One row of metrics.jsonl a seed and learner, from arrays `[learner, seed]`."""
    values = {name: np.asarray(array) for name, array in values.items()}
    return [
        {**where, "seed": config.seed + seed, "learner": learner}
        | {name: float(array[learner, seed]) for name, array in values.items()}
        for seed in range(config.seeds)
        for learner in range(next(iter(values.values())).shape[0])
    ]


def learners_of(
    config: Any,
    new: Callable[[], Any],
    agents: dict[str, np.ndarray],
    prefix: str,
    seed: int,
    num_learners: int = NUM_LEARNERS,
) -> list:
    """The learners of one seed, from the arrays `[learner, seed]` of an agents file; `new` makes one like them."""
    check_seed(config, seed)
    stacked = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((num_learners, config.seeds, *leaf.shape), leaf.dtype), jax.eval_shape(new)
    )
    learners = checkpoint.unflatten(stacked, agents, prefix)
    index = seed - config.seed
    return [jax.tree.map(lambda leaf, i=i: jnp.asarray(leaf[i, index]), learners) for i in range(num_learners)]
