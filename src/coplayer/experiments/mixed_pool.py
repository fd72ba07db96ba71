"""What experiments with learners in the mixed pool share (Weis et al. 2026, section 3).

Arrays of all learners and seeds have the leading axes [learner, seed]. There are two learners, as in the paper, or
more, of whom each meets every other equally often. Of two, learner i sits in seat i of the game. More than two need a
game whose seats are alike.

The steps of the mechanism are the same experiments with other co-players. Without episodes against other learners
(`learner_share` 0) the learners never meet. In step 1 each learner meets strangers alone. In step 2 each learner meets
a frozen agent of a finished run (`frozen`). Learner i meets agent i + 1, the last learner meets agent 0. In step 3 the
learners meet each other alone, and start from where a finished run ended (`start`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from coplayer.errors import CoplayerError, require
from coplayer.experiments.axes import (
    LEARNERS,
    exchange_between_learners,
    map_learners_and_seeds,
    of_all_learners,
    require_work_for_all,
)
from coplayer.experiments.settings import CoPlayerSettings, RunSettings
from coplayer.figures.published import Bound, Panel
from coplayer.games.game import Game
from coplayer.play.player import Player
from coplayer.play.rollout import Actions, Played, play_rounds
from coplayer.play.seating import Absent, Groups
from coplayer.play.tables import Tables, table_keys, tables_of
from coplayer.play.trajectory import Episode, Trajectory
from coplayer.players.memory1 import identity_of
from coplayer.pools import strangers
from coplayer.pools.strangers import Pool
from coplayer.pools.tabular import TabularPool
from coplayer.runs import checkpoint, hosts
from coplayer.runs.folder import RunFolder
from coplayer.settings import adjust

COOPERATES = {"cooperation_vs_learner": Bound(at_least=0.8)}  # bounds of the table's quantities
BEST_RESPONSE = {
    "late_cooperation/tit_for_tat": Bound(at_least=0.8),
    "reward/always_cooperate": Bound(at_least=1.95),
    "reward/always_defect": Bound(at_least=-0.1),
}
EXTORTS = {"share/frozen": Bound(at_least=0.6)}


class Published(NamedTuple):
    """Where Weis et al. 2026 show a kind of learner, and what they say of it, as bounds of the table's quantities."""

    learner: str  # as their curves name it, such as "ppi"
    x: str  # "phase" or "iteration"
    mixed: str  # the panel of the mixed pool, such as "1A"
    steps: str  # the figure of the steps, such as "2"
    in_the_mixed_pool: Mapping[str, Bound]
    ablated: Mapping[str, Bound]  # told whom they meet, or without strangers
    together: Mapping[str, Bound]  # two extorters

    def panel(self, co_players: CoPlayerSettings) -> Panel:
        """What they show of a run with these co-players."""
        own = self.learner

        def shown(name: str, curves: dict[str, str], bounds: Mapping[str, Bound]) -> Panel:
            return Panel(name, own.upper(), self.x, curves, bounds)

        if co_players.frozen is not None:
            return shown(f"{self.steps}C", {"vs_frozen": own, "of_frozen": "fixed_icl"}, EXTORTS)
        if co_players.learner_share == 0:
            return shown(f"{self.steps}A", {"vs_tabular": own, "of_tabular": "tabular"}, BEST_RESPONSE)
        if co_players.start is not None and co_players.learner_share == 1:
            return shown(f"{self.steps}E", {"vs_learner": f"{own}_2"}, self.together)
        if co_players.opponent_identity or co_players.learner_share == 1:
            return shown(self.mixed, {}, self.ablated)
        curves = {"vs_learner": f"{own}_vs_{own}", "vs_tabular": f"{own}_vs_tabular"}
        return shown(self.mixed, curves, self.in_the_mixed_pool)


class Trainee(NamedTuple):
    """One learner of one seed, and what it needs to play."""

    learner: Any  # what learning changes
    key: PRNGKeyArray  # constant: every draw is a function of the key and of where the run stands
    frozen: Any = None  # whom it meets that does not change: a frozen player, or the first networks of naive learners


class Source(NamedTuple):
    """A finished run that another one builds on."""

    folder: RunFolder
    settings: Any

    def agents(self) -> dict[str, np.ndarray]:
        """The arrays of its last agents file."""
        return checkpoint.load_agents(self.folder.agents_file(self.settings.run.phases))

    def last_state(self) -> dict[str, np.ndarray]:
        """The arrays of its last checkpoint."""
        return checkpoint.last(self.folder.checkpoints).arrays

    def at_seeds_of(self, run: RunSettings) -> slice:
        """Where the seeds of `run` are among its own."""
        first = run.seed - self.settings.run.seed
        return slice(first, first + run.seeds)


class Given(NamedTuple):
    """What a run takes from others; leaves of host arrays with the leading axes [learner, seed], or None."""

    frozen: Player | None = None  # whom each learner meets instead of tabular players
    weights: Any = None  # of the learners, to start from
    episodes: Any = None  # [learner, seed, row, round], to start from


NOTHING = Given()


def check_co_players(co_players: CoPlayerSettings, game: Game) -> None:
    """Refuse co-players that exclude each other, and games that the mixed pool is not made for."""
    require(game.num_players == 2, f"game: the mixed pool needs a game of two players, this one has {game.num_players}")
    require(co_players.learners >= 2, f"learners: must be at least 2, got {co_players.learners}")
    require(
        co_players.learners == 2 or game.symmetric,
        f"learners: more than 2 need a game whose seats are alike, got {co_players.learners}",
    )
    require(
        co_players.frozen is None or co_players.learner_share == 0,
        f"frozen: needs learner_share = 0, for it takes the place of all others; got {co_players.learner_share}",
    )


AMONG_STRANGERS = {
    "pool": ("axelrod", "mutants"),
    "pool_noise": 0.01,
    "learner_share": 0.25,
}
"""Settings of the recipes with strangers. Random automata, and random players of memory 1 and 2, beside them made
learners weaker against strategies that they have never met. One seed of each earned .75 and .89 per round.
"""
WITH_STRANGERS = "among each other and strangers: strategies of the Axelrod library, and mutants of these."


def pool_of(co_players: CoPlayerSettings, game: Game) -> Pool:
    """The strangers that learners meet."""
    return strangers.pool_of(co_players.pool, game, co_players.pool_noise)


def check_pool(co_players: CoPlayerSettings, game: Game) -> None:
    """Refuse a pool that the game does not allow, and one whose strangers have no identity where learners are told."""
    pool = pool_of(co_players, game)
    require(
        isinstance(pool, TabularPool) or not co_players.opponent_identity,
        f"opponent_identity: needs a pool of memory-1 players, whose probabilities are told; got "
        f"{', '.join(co_players.pool)}",
    )


@dataclass(frozen=True)
class Split:
    """How one batch of a learner's episodes is divided: first those against other learners, then those against a frozen
    agent or tabular players.
    """

    size: int
    against_learners: int
    against_tabular: int

    @classmethod
    def of(cls, episodes: int, co_players: CoPlayerSettings) -> "Split":
        against_learners = round(episodes * co_players.learner_share)
        return cls(episodes, against_learners, 0 if co_players.frozen else episodes - against_learners)

    @property
    def others(self) -> int:
        """Episodes that are not against other learners."""
        return self.size - self.against_learners


def pairs_of(count: int) -> list[tuple[int, int]]:
    """Pairs in which each of `count` learners plays at least once. With an odd number the last learner meets the first,
    who plays twice. A single learner has no pair.
    """
    return [(i, (i + 1) % count) for i in range(0, count, 2) if count > 1]


def check_seed(run: RunSettings, seed: int) -> None:
    """Refuse a seed that a run does not have."""
    require(
        run.seed <= seed < run.seed + run.seeds,
        f"seed: this run has seeds {run.seed} to {run.seed + run.seeds - 1}, got {seed}",
    )


def seed_batch(run: RunSettings) -> int:
    """Seeds side by side: as asked, or all on a GPU and one at a time on a CPU."""
    asked = run.seed_batch or (1 if jax.default_backend() == "cpu" else run.seeds)
    return min(asked, run.seeds)


def share_of_process(settings: Any) -> Any:
    """The settings with as many seeds as one process trains at most."""
    return adjust(settings, seeds=-(-settings.run.seeds // jax.process_count()))


SOON = {"xla_backend_optimization_level": 1}  # a third of the time to compile random draws, which have the same bits


def mapped(run: RunSettings, function: Callable, num_learners: int, *, once: bool = False) -> Callable:
    """`function(mapped, shared)` of one learner and seed, compiled for all of them; consumes its first argument.

    A function that runs `once` is compiled fast, not to fast code.
    """
    require_work_for_all(num_learners, run.seeds)
    both = map_learners_and_seeds(function, num_learners=num_learners, seed_batch=seed_batch(run))
    return jax.jit(both, donate_argnums=0, compiler_options=SOON if once else None)


def keys(run: RunSettings, num_learners: int) -> Key[Array, "learner seed"]:
    """One key per learner and seed: equal for a seed whatever the other seeds are."""
    seeds = run.seed + jnp.arange(run.seeds)
    by_seed = jax.vmap(jax.random.key)(seeds)
    return jax.vmap(lambda learner: jax.vmap(lambda key: jax.random.fold_in(key, learner))(by_seed))(
        jnp.arange(num_learners)
    )


def seat() -> Int[Array, ""]:
    """The seat of the learner whose turn it is in a mapped function, where only the learner itself counts."""
    return jax.lax.axis_index(LEARNERS) % 2


def tables_for(game: Game, split: Split) -> Tables:
    """The tables of one batch of a learner's episodes, in a mapped function. The learner is player 0 at each of them;
    its own seat is one on which the learners of a pair agree.
    """
    tables = tables_of(game, seat())
    if not tables.draws:
        return tables
    mine = jax.lax.axis_index(LEARNERS)
    partners = _partners(split)
    turned = jnp.concatenate([(mine > partners).astype(jnp.int32), jnp.full((split.others,), seat())])
    return tables_of(game, turned)


def _partners(split: Split) -> Int[Array, " episodes"]:
    """The other learner in each episode against one (see `exchange_between_learners`)."""
    count = jax.lax.axis_size(LEARNERS)
    groups = jnp.arange(split.against_learners) // max(1, split.against_learners // max(1, count - 1))
    return (jax.lax.axis_index(LEARNERS) + 1 + groups) % count


def keys_for(tables: Tables, split: Split, key: PRNGKeyArray) -> Key[Array, " episodes"]:
    """A key for each table: at tables between two learners, one that both know. `key` is the learner's own."""
    own = table_keys(key, split.size)
    if not tables.draws or not split.against_learners:
        return own
    mine, count = jax.lax.axis_index(LEARNERS), jax.lax.axis_size(LEARNERS)
    partners, size = _partners(split), split.against_learners // (count - 1)
    everyone = jax.random.wrap_key_data(of_all_learners(jax.random.key_data(key)))
    first, second = jnp.minimum(mine, partners), jnp.maximum(mine, partners)
    fold = jax.vmap(jax.random.fold_in)
    shared = fold(fold(everyone[first], second), jnp.arange(split.against_learners) % size)
    return jnp.concatenate([shared, own[split.against_learners :]])


def play_batch(
    tables: Tables, learner: Player, others: Player | None, split: Split, chance: tuple[Any, Any], key: PRNGKeyArray
) -> Played:
    """One batch of a learner's episodes, in a function mapped over the learners, who exchange their actions in every
    round. `others`: whom it meets beside other learners. `chance`: random numbers of both, with an axis of rounds.
    """
    groups = [(Absent(), split.against_learners, None), (others, split.others, chance[1])]
    players, sizes, numbers = zip(*[group for group in groups if group[1]], strict=True)
    opposite = Groups(players, sizes)
    states = (learner.begin(key, split.size), opposite.begin(key, split.size))
    world = tables.open(keys_for(tables, split, key))

    def meet(actions: Actions) -> Actions:
        own, replies = actions
        elsewhere = exchange_between_learners(own[: split.against_learners])
        return own, jnp.concatenate([elsewhere, replies[split.against_learners :]])

    return play_rounds(tables, (learner, opposite), world, states, (chance[0], numbers), meet=meet)


def identities(
    size: int, learners: int, tables: Float[Array, "observations actions tabular"]
) -> Float[Array, "identity batch"]:
    """The identity of the co-player of each episode. The first `learners` episodes are against learners, whose identity
    is zeros; the others are against the tabular players of `tables`. `size`: length of an identity; 0: nobody is told.
    """
    if not size:
        return jnp.zeros((0, learners + tables.shape[-1]))
    return jnp.concatenate([jnp.zeros((size, learners)), identity_of(tables)], axis=1)


def play_metrics(trajectory: Trajectory, split: int, others: str = "tabular") -> dict[str, Array]:
    """Means over episodes: rewards per round, and what the game measures. The first `split` episodes are against
    learners, the rest, if any, against `others`. Against learners, the measures over the last quarter of the rounds are
    given too (`late_`). Where no episode is against a learner, the means of `others` are given too (`_of_`). Episodes
    are on the trajectory's last axis; blocks of episodes may be on an axis before.
    """
    own, metrics = trajectory.view(0), {}
    rounds, episodes = own.rewards.shape[0], own.rewards.shape[-1]
    late = rounds - max(1, rounds // 4)

    def measure(view: Episode, side: str, at: slice) -> None:
        for name, values in view.measures.items():
            metrics[f"{name}_{side}"] = _mean(values[..., at])
        metrics[f"reward_{side}"] = view.rewards[..., at].mean()

    if split:
        measure(own, "vs_learner", slice(split))
        for name, values in own.measures.items():
            metrics[f"late_{name}_vs_learner"] = _mean(values[late:, ..., :split])
    if split < episodes:
        measure(own, f"vs_{others}", slice(split, None))
    if not split:
        measure(trajectory.view(1), f"of_{others}", slice(None))
    return metrics


def _mean(values: Array) -> Float[Array, ""]:
    return values.astype(jnp.float32).mean()


def metric_rows(run: RunSettings, values: dict[str, Any], **where: int) -> list[dict]:
    """One row of metrics.jsonl per seed and learner, from arrays `[learner, seed]`."""
    values = hosts.by_name_on_host(values)
    return [
        {**where, "seed": run.seed + seed, "learner": learner}
        | {name: float(array[learner, seed]) for name, array in values.items()}
        for seed in range(run.seeds)
        for learner in range(next(iter(values.values())).shape[0])
    ]


def weights_of(
    run: RunSettings,
    new: Callable[[], Any],
    agents: dict[str, np.ndarray],
    prefix: str,
    num_learners: int,
) -> Any:
    """All learners of a run, leading axes [learner, seed], from an agents file's arrays; `new` makes one like them."""
    stacked = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((num_learners, run.seeds, *leaf.shape), leaf.dtype), jax.eval_shape(new)
    )
    return checkpoint.unflatten(stacked, agents, prefix)


def start_weights(settings: Any, start: Source, new: Callable[[], Any], prefix: str) -> Any:
    """The weights of the run that `settings` start from, at their seeds."""
    try:
        weights = weights_of(start.settings.run, new, start.agents(), prefix, settings.co_players.learners)
    except CoplayerError as error:
        raise CoplayerError(f"start: {start.folder.path} has another network ({error})") from error
    seeds = start.at_seeds_of(settings.run)
    return jax.tree.map(lambda leaf: leaf[:, seeds], weights)


def learners_of(
    run: RunSettings,
    new: Callable[[], Any],
    agents: dict[str, np.ndarray],
    prefix: str,
    seed: int,
    num_learners: int,
) -> list:
    """The learners of one seed, from the arrays `[learner, seed]` of an agents file; `new` makes one like them."""
    check_seed(run, seed)
    learners = weights_of(run, new, agents, prefix, num_learners)
    index = seed - run.seed
    return [jax.tree.map(lambda leaf, i=i: jnp.asarray(leaf[i, index]), learners) for i in range(num_learners)]
