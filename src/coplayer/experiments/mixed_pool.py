"""What experiments with learners in the mixed pool share (Weis et al. 2026, section 3).

A config of such an experiment has the fields `payoffs`, `rounds`, `seeds`, `seed` and `seed_batch`. Arrays of all
learners and seeds have the leading axes [learner, seed]. There are two learners, as in the paper, or more, of whom each
meets every other one equally often. Of two, learner i sits in seat i of the game; more need a game whose seats are
alike.

The steps of the mechanism (spec section 6.2 to 6.4) are the same experiments with other co-players. Without episodes
against other learners (`learner_share` 0) the learners never meet: each meets tabular players (step 1), or alone the
frozen agent after it in a finished run (step 2, `frozen`). Then they meet each other alone, starting from where such a
run ended (step 3, `start`).
"""

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Key

from coplayer.errors import CoplayerError, require
from coplayer.experiments.axes import LEARNERS, map_learners_and_seeds
from coplayer.games.matrix import COOPERATE, MatrixGame
from coplayer.players.match import Player
from coplayer.pools import tabular
from coplayer.runs import checkpoint
from coplayer.runs.folder import RunFolder

SEED_BOUND = 2**31  # seeds are 32-bit integers


class Source(NamedTuple):
    """A finished run that another one builds on."""

    folder: RunFolder
    config: Any

    def agents(self) -> dict[str, np.ndarray]:
        """The arrays of its last agents file."""
        return checkpoint.load(self.folder.agents_file(self.config.phases))[1]

    def last_state(self) -> dict[str, np.ndarray]:
        """The arrays of its last checkpoint."""
        return checkpoint.last(self.folder.checkpoints).arrays

    def at_seeds_of(self, config: Any) -> slice:
        """Where the seeds of `config` are among its own."""
        first = config.seed - self.config.seed
        return slice(first, first + config.seeds)


class Given(NamedTuple):
    """What a run takes from others; leaves of host arrays with the leading axes [learner, seed], or None."""

    frozen: Player | None = None  # whom each learner meets instead of tabular players
    weights: Any = None  # of the learners, to start from
    episodes: Any = None  # [learner, seed, row, round], to start from


NOTHING = Given()


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
    require(
        config.seed + config.seeds <= SEED_BOUND,
        f"seed: must be at most {SEED_BOUND - config.seeds} with {config.seeds} seed(s), got {config.seed}",
    )


def check_co_players(config: Any) -> None:
    """Refuse co-players that exclude each other."""
    require(config.learners >= 2, f"learners: must be at least 2, got {config.learners}")
    require(
        config.learners == 2 or make_game(config).symmetric,
        f"learners: more than 2 need the same payoffs for both players of the game, got {config.learners}",
    )
    require(config.learner_share <= 1, f"learner_share: must be at most 1, got {config.learner_share}")
    require(
        config.frozen is None or config.learner_share == 0,
        f"frozen: needs learner_share = 0, for it takes the place of all others; got {config.learner_share}",
    )


def against_tabular(config: Any) -> int:
    """Episodes of `config.episodes` that are against tabular players."""
    return 0 if config.frozen else config.episodes - round(config.episodes * config.learner_share)


def pairs_of(count: int) -> list[tuple[int, int]]:
    """Who meets whom where each of `count` learners is to be seen with one other; of an odd number the last one meets
    the first, who has met another already. None for a single one.
    """
    return [(i, (i + 1) % count) for i in range(0, count, 2) if count > 1]


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


def mapped(config: Any, function: Callable, num_learners: int) -> Callable:
    """`function(mapped, shared)` of one learner and seed, compiled for all of them; consumes its first argument."""
    both = map_learners_and_seeds(function, num_learners=num_learners, seed_batch=seed_batch(config))
    return jax.jit(both, donate_argnums=0)


def keys(config: Any, num_learners: int) -> Key[Array, "learner seed"]:
    """One key a learner and seed: equal for a seed whatever the other seeds are."""
    seeds = config.seed + jnp.arange(config.seeds)
    by_seed = jax.vmap(jax.random.key)(seeds)
    return jax.vmap(lambda learner: jax.vmap(lambda key: jax.random.fold_in(key, learner))(by_seed))(
        jnp.arange(num_learners)
    )


def own_payoffs(game: MatrixGame) -> Float[Array, " joint"]:
    """The payoff vector of the learner whose turn it is in a mapped function."""
    seats = jnp.stack([game.payoff_vector(player) for player in range(2)])
    return seats[jax.lax.axis_index(LEARNERS) % 2]


def other_payoffs(game: MatrixGame) -> Float[Array, " joint"]:
    """The payoff vector of who sits opposite that learner, by its own joint action."""
    seats = jnp.stack([game.payoff_vector(1 - player) for player in range(2)])
    return seats[jax.lax.axis_index(LEARNERS) % 2]


def contexts(
    size: int, learners: int, tables: Float[Array, "observations actions tabular"]
) -> Float[Array, "context batch"]:
    """What names the co-player of each episode, `size` numbers: zeros for learners, whom the first `learners` episodes
    are against, and a tabular player's identity; or, of size 0, nothing.
    """
    if not size:
        return jnp.zeros((0, learners + tables.shape[-1]))
    return jnp.concatenate([jnp.zeros((size, learners)), tabular.identity(tables)], axis=1)


def play_metrics(
    joint: Integer[Array, "*blocks rounds episodes"],
    payoffs: Float[Array, " joint"],
    game: MatrixGame,
    split: int,
    others: str = "tabular",
    others_payoffs: Float[Array, " joint"] | None = None,
) -> dict[str, Array]:
    """Means over episodes, of which the first `split` are against the learner, the rest, if any, against `others`:
    rates of action 0, rewards of the game a round, and the rate over the last quarter of the rounds. Where none are
    against the learner, those of the others too (for which `others_payoffs` is needed).
    """
    cooperates = (game.own_action(joint) == COOPERATE).astype(jnp.float32)
    reward = payoffs[joint]
    late = game.rounds - max(1, game.rounds // 4)
    metrics = {}
    if split:
        metrics["cooperation_vs_learner"] = cooperates[..., :split].mean()
        metrics["reward_vs_learner"] = reward[..., :split].mean()
        metrics["late_cooperation_vs_learner"] = cooperates[..., late:, :split].mean()
    if split < joint.shape[-1]:
        metrics[f"cooperation_vs_{others}"] = cooperates[..., split:].mean()
        metrics[f"reward_vs_{others}"] = reward[..., split:].mean()
    if not split:
        metrics[f"cooperation_of_{others}"] = (game.other_action(joint) == COOPERATE).astype(jnp.float32).mean()
        metrics[f"reward_of_{others}"] = others_payoffs[game.swap(joint)].mean()
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


def weights_of(
    config: Any,
    new: Callable[[], Any],
    agents: dict[str, np.ndarray],
    prefix: str,
    num_learners: int,
) -> Any:
    """All learners of a run, leading axes [learner, seed], from an agents file's arrays; `new` makes one like them."""
    stacked = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((num_learners, config.seeds, *leaf.shape), leaf.dtype), jax.eval_shape(new)
    )
    return checkpoint.unflatten(stacked, agents, prefix)


def start_weights(config: Any, start: Source, new: Callable[[], Any], prefix: str) -> Any:
    """The weights of the run that `config` starts from, at its seeds."""
    try:
        weights = weights_of(start.config, new, start.agents(), prefix, config.learners)
    except CoplayerError as error:
        raise CoplayerError(f"start: {start.folder.path} has another network ({error})") from error
    seeds = start.at_seeds_of(config)
    return jax.tree.map(lambda leaf: leaf[:, seeds], weights)


def learners_of(
    config: Any,
    new: Callable[[], Any],
    agents: dict[str, np.ndarray],
    prefix: str,
    seed: int,
    num_learners: int,
) -> list:
    """The learners of one seed, from the arrays `[learner, seed]` of an agents file; `new` makes one like them."""
    check_seed(config, seed)
    learners = weights_of(config, new, agents, prefix, num_learners)
    index = seed - config.seed
    return [jax.tree.map(lambda leaf, i=i: jnp.asarray(leaf[i, index]), learners) for i in range(num_learners)]
