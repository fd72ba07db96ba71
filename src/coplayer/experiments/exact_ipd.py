"""Two memory-1 agents with exact values, among naive learners and each other (Meulemans et al. 2025, sections 4 and 5).

An agent's policy is five logits: of action 0 rather than action 1, after START and after each joint action. The agent's
objective is a mixture of two parts.

* With weight `naive_share` (p_naive in the paper): its mean reward over the inner episodes in which a naive learner
  climbs that learner's own exact gradient. The gradient of this part is taken through the learning.
* With the remaining weight: its reward against the other agent. For this part the agent moves by any method of
  `learning.exact_gradients`.

All rewards are discounted rewards per round: (1 - discount) J, for the discounted return J.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key

from coplayer import settings as setting_groups
from coplayer.analysis.exact import discounted_values
from coplayer.errors import require
from coplayer.experiments import mixed_pool
from coplayer.experiments.protocol import Recipe
from coplayer.experiments.settings import (
    IterationSettings,
    MetaTrajectorySettings,
    NaiveShareSettings,
    check_iterations,
    check_seeds,
)
from coplayer.figures.published import Panel
from coplayer.games.game import Game
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.learning import exact_gradients
from coplayer.learning.exact_gradients import Method, Params, Values
from coplayer.learning.lola import LookaheadSettings
from coplayer.learning.optimisation import AdamWSettings, DiscountSettings
from coplayer.players.memory1 import Memory1, fits_named_strategies
from coplayer.runs import checkpoint, hosts
from coplayer.runs.training import Chunk
from coplayer.settings import setting

NAME = "exact-ipd"
SOURCE = "Meulemans et al. 2025, figures 3, 4, 8, 9 and 10"
LENDS_AGENTS = False
JOINABLE = False  # seeds are the last axis here, and train side by side anyway
POLICY, TRAINING, MEASURING = range(3)  # streams of random numbers
NUM_LEARNERS = 2  # and no more: their returns are those of a pair
OBSERVATIONS = ("start", "cc", "cd", "dc", "dd")
MOST_AT_ONCE = 8  # seeds trained side by side: with more, all that the backward pass keeps no longer fits the cache
STARTING_POLICIES = {
    "random": np.zeros(5),
    "always_defect": np.full(5, -3.0),
    "tit_for_tat": np.array([3.0, 3.0, -3.0, 3.0, -3.0]),
}


METHODS: dict[str, Callable[["AgentSettings"], Method]] = {
    "naive": lambda agents: exact_gradients.naive,
    "lookahead": lambda agents: partial(exact_gradients.lookahead, steps=agents.lookaheads, rate=agents.lookahead_rate),
    "lola": lambda agents: partial(exact_gradients.lola, rate=agents.lookahead_rate),
    # Its radius is stated for gradients of the discounted return J, which is the reward per round / (1 - discount).
    "sos": lambda agents: exact_gradients.rescaled(
        partial(exact_gradients.sos, rate=agents.lookahead_rate * (1 - agents.gamma)), 1 / (1 - agents.gamma)
    ),
}
"""What `--method` knows, by name: each makes a method of an agent's settings. A new method is one more entry."""


@dataclass(frozen=True)
class AgentSettings(LookaheadSettings, DiscountSettings):
    """Agents"""

    first_policy: str = setting("random", among=STARTING_POLICIES)
    """Policy that the agents' first logits are drawn around. Probability of action 0: .5 (random), .05 (always_defect),
    .95 or .05 (tit_for_tat: .95 where tit-for-tat cooperates)."""
    first_policy_scale: float = setting(1.0, at_least=0)
    """Standard deviation of the agents' first logits."""
    method: str = setting("naive", among=METHODS)
    """Gradient that an agent follows against the other agent. lookahead looks ahead --lookaheads learning steps of the
    co-player, lola and sos one step, naive none."""
    method_share: float = setting(1.0, at_least=0, at_most=1)
    """Weight of --method; the rest goes to the naive gradient."""


@dataclass(frozen=True)
class ExactNaiveSettings(MetaTrajectorySettings, NaiveShareSettings):
    """Naive learners"""

    later_naive_shares: tuple[float, ...] = setting(())
    """Values of --naive-share in further stages. With n values the training has n + 1 equal stages. The optimiser
    begins anew with each stage."""
    naive_rate: float = setting(5.0)
    """Step size of a naive learner, on its reward per round."""
    naive_learners: int = setting(16)
    """Naive learners that an agent meets in an iteration; their first logits are drawn anew in each."""
    naive_scale: float = setting(1.0, at_least=0)
    """Standard deviation of the naive learners' first logits."""

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of naive learners in each stage."""
        return (self.naive_share, *self.later_naive_shares)


@dataclass(frozen=True)
class ExactIPD:
    """Two memory-1 agents with exact values and gradients of an endless game, among naive learners and each other. Only
    the evaluation plays --game.rounds."""

    game: Game = prisoners_dilemma()
    run: IterationSettings = IterationSettings(seeds=32, phases=10, iterations=3000, log_every=20)
    agents: AgentSettings = AgentSettings(lookahead_rate=5.0)
    naive: ExactNaiveSettings = ExactNaiveSettings(naive_share=0.1)
    optimiser: AdamWSettings = AdamWSettings(learning_rate=0.01, weight_decay=1e-4)


PRESETS = {"quick": ExactIPD(), "paper": ExactIPD()}  # the published size takes seconds on two cores

RECIPES = {NAME: Recipe(ExactIPD.__doc__, SOURCE, PRESETS)}


def check(settings: ExactIPD) -> None:
    """Refuse settings that cannot be trained, naming the setting and what is allowed."""
    setting_groups.check_limits(settings)
    check_seeds(settings.run)
    require(
        isinstance(settings.game, MatrixGame) and settings.game.num_actions == 2,
        "game: exact values need a matrix game of 2 actions: 4 payoffs, or 8",
    )
    agents, shares = settings.agents, settings.naive.shares
    made = METHODS[agents.method](agents) if callable(METHODS[agents.method]) else None
    require(callable(made), f"method: {agents.method} of METHODS must be a function that makes a method")
    require(agents.gamma < 1, f"gamma: must be below 1, for values of an endless game, got {agents.gamma:g}")
    require(
        agents.first_policy == "random" or fits_named_strategies(settings.game),
        f"first_policy: {agents.first_policy} needs a game of which action 0 cooperates",
    )
    require(
        all(0 <= share <= 1 for share in shares),
        f"later_naive_shares: must be numbers in [0, 1], got {shares[1:]}",
    )
    check_iterations(settings.run)
    require(
        settings.run.phases % len(shares) == 0,
        f"phases: must be a multiple of the {len(shares)} stages of naive_share, got {settings.run.phases}",
    )


def panel(settings: ExactIPD) -> Panel:
    """A panel with no published curve: `reproduce.meulemans_exact` draws the paper's panels of these agents."""
    return Panel("", "exact agent", "iteration")


def method_of(agents: AgentSettings) -> Method:
    """How an agent moves against the other one."""
    method = METHODS[agents.method](agents)
    if agents.method_share == 1:
        return method
    return exact_gradients.mixture((agents.method_share, method), (1 - agents.method_share, exact_gradients.naive))


def table(logits: Params) -> Float[Array, "observations actions ..."]:
    """The policy of five logits of action 0, as the exact values take it."""
    return jnp.stack([jax.nn.sigmoid(logits), jax.nn.sigmoid(-logits)], axis=1)


def values_of(game: MatrixGame, discount: float) -> Values:
    """Both players' expected discounted rewards per round, as a function of their logits."""

    def values(own: Params, other: Params) -> Float[Array, "2 ..."]:
        return (1 - discount) * discounted_values(table(own), table(other), game=game, discount=discount)

    return values


def cooperation_game(game: MatrixGame) -> MatrixGame:
    """A game that pays 1 for one's own cooperation: its rewards are the rates of cooperation in `game`."""
    return MatrixGame(np.eye(game.num_actions)[:, [game.cooperation] * game.num_actions])


def naive_logits(keys: Key[Array, " seeds"], naive: ExactNaiveSettings) -> Float[Array, "params seeds learners"]:
    """First logits of naive learners, drawn for each seed."""
    draw = jax.vmap(lambda key: jax.random.normal(key, (5, naive.naive_learners)), out_axes=1)
    return naive.naive_scale * draw(keys)


def streams(keys: Key[Array, "learner seed"], stream: int, index: Int[Array, ""]) -> Key[Array, "learner seed"]:
    """The keys of one iteration's random numbers of one kind."""
    return jax.vmap(jax.vmap(lambda key: jax.random.fold_in(jax.random.fold_in(key, stream), index)))(keys)


def against_naive(
    values: Values,
    own: Float[Array, "params seeds"],
    learners: Float[Array, "params seeds learners"],
    naive: ExactNaiveSettings,
) -> Float[Array, "episodes 2 seeds"]:
    """Rewards of an agent and of the naive learners it meets, by inner episode, means over the learners."""
    history, _ = exact_gradients.naive_learning(
        values, own[..., None], learners, steps=naive.inner_episodes, rate=naive.naive_rate
    )
    return history.mean(-1)


class State(NamedTuple):
    """A run between two chunks; `agents[learner, param, seed]`."""

    agents: Float[Array, "2 params seeds"]
    optimiser: optax.OptState
    iteration: int  # iterations done


class Trainer:
    """The experiment as the host runs it (see `runs.training.Training`). A chunk is one phase."""

    def __init__(self, settings: ExactIPD):
        check(settings)
        require(not hosts.several(), f"distributed: {NAME} trains on one device")
        self.settings = settings
        game, discount = settings.game, settings.agents.gamma
        self._seats = tuple(values_of(game.seen_by(seat), discount) for seat in range(NUM_LEARNERS))
        self._cooperation = values_of(cooperation_game(game), discount)
        self._keys = mixed_pool.keys(settings.run, NUM_LEARNERS)
        self._optimiser = optax.adamw(settings.optimiser.learning_rate, weight_decay=settings.optimiser.weight_decay)
        self._train = jax.jit(self._train_phase, static_argnums=3)

    def initial_state(self) -> State:
        start = self.settings.agents
        keys = jax.vmap(jax.vmap(partial(jax.random.fold_in, data=POLICY)))(self._keys)
        noise = jax.vmap(jax.vmap(lambda key: jax.random.normal(key, (5,)), out_axes=-1))(keys)
        agents = jnp.asarray(STARTING_POLICIES[start.first_policy])[:, None] + start.first_policy_scale * noise
        return State(agents, self._optimiser.init(agents), 0)

    def finished(self, state: State) -> bool:
        return state.iteration >= self.settings.run.iterations

    def progress(self, state: State) -> float:
        return state.iteration / self.settings.run.iterations

    def _direction(self, learner: int, agents, keys, share: float) -> Params:
        """The direction in which one agent moves."""
        values, own, other = self._seats[learner], agents[learner], agents[1 - learner]
        naive, direction = self.settings.naive, jnp.zeros_like(own)
        if share > 0:
            learners = naive_logits(keys, naive)
            length = {"steps": naive.inner_episodes, "rate": naive.naive_rate}
            total = exact_gradients.shaping(values, own[..., None], learners, **length)[..., 0]
            direction += share / learners.shape[-1] * total
        if share < 1:
            direction += (1 - share) * method_of(self.settings.agents)(values, own, other)
        return direction

    def _iterate(self, carry, iteration: Int[Array, ""], keys: Key[Array, "learner seed"], share: float):
        agents, optimiser = carry
        keys = streams(keys, TRAINING, iteration)
        directions = jnp.stack([self._direction(i, agents, keys[i], share) for i in range(NUM_LEARNERS)])
        updates, optimiser = self._optimiser.update(-directions, optimiser, agents)
        return (optax.apply_updates(agents, updates), optimiser), None

    def _measure(
        self, agents, iteration: Int[Array, ""], keys: Key[Array, "learner seed"]
    ) -> dict[str, Float[Array, "learner seed"]]:
        """Each agent against the other, and against naive learners drawn for this measurement."""
        keys = streams(keys, MEASURING, iteration)
        by_learner = []
        for i, values in enumerate(self._seats):
            own, other = agents[i], agents[1 - i]
            met = against_naive(values, own, naive_logits(keys[i], self.settings.naive), self.settings.naive)
            measured = {
                "cooperation_vs_learner": self._cooperation(own, other)[0],
                "reward_vs_learner": values(own, other)[0],
                "reward_vs_naive": met[:, 0].mean(0),
                "reward_of_naive": met[:, 1].mean(0),
                "late_reward_vs_naive": met[-1, 0],
                "late_reward_of_naive": met[-1, 1],
            }
            policy = jax.nn.sigmoid(own)
            by_learner.append(measured | {f"p_{name}": policy[k] for k, name in enumerate(OBSERVATIONS)})
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *by_learner)

    def _train_phase(self, agents, optimiser, keys, share: float, start: Int[Array, ""]):
        """One phase from iteration `start` on, one block of seeds after the other. Metrics: `[row, learner, seed]`."""
        run = self.settings.run
        most = run.seed_batch or MOST_AT_ONCE
        size = max(size for size in range(1, min(most, run.seeds) + 1) if run.seeds % size == 0)

        def split(leaf):  # [..., seed] -> [block, ..., seed of the block]; what is shared stays
            return jnp.moveaxis(leaf.reshape(*leaf.shape[:-1], -1, size), -2, 0) if leaf.ndim else leaf

        def join(leaf):
            return jnp.moveaxis(leaf, 0, -2).reshape(*leaf.shape[1:-1], -1) if leaf.ndim > 1 else leaf[0]

        mapped, shared = eqx.partition((agents, optimiser, keys), lambda leaf: leaf.ndim > 0)

        def one_block(block):
            return self._train_block(*eqx.combine(block, shared), share, start)

        return jax.tree.map(join, jax.lax.map(one_block, jax.tree.map(split, mapped)))

    def _train_block(self, agents, optimiser, keys, share: float, start: Int[Array, ""]):
        """One phase of a block of seeds. The metrics are those before each `log_every` iterations, and at the end."""
        run = self.settings.run
        iterate = partial(self._iterate, keys=keys, share=share)

        def part(carry, first):
            measured = self._measure(carry[0], first, keys)
            carry, _ = jax.lax.scan(iterate, carry, first + jnp.arange(run.log_every))
            return carry, measured

        firsts = start + run.log_every * jnp.arange(run.iterations // run.phases // run.log_every)
        (agents, optimiser), measured = jax.lax.scan(part, (agents, optimiser), firsts)
        last = self._measure(agents, firsts[-1] + run.log_every, keys)
        return agents, optimiser, jax.tree.map(lambda rows, row: jnp.concatenate([rows, row[None]]), measured, last)

    def advance(self, state: State) -> Chunk:
        """One phase."""
        run, shares, begin = self.settings.run, self.settings.naive.shares, time.monotonic()
        per_phase = run.iterations // run.phases
        per_stage = run.iterations // len(shares)
        share = shares[state.iteration // per_stage]
        starts_stage = state.iteration % per_stage == 0
        optimiser = self._optimiser.init(state.agents) if starts_stage else state.optimiser
        agents, optimiser, metrics = self._train(state.agents, optimiser, self._keys, share, state.iteration)
        metrics = jax.tree.map(np.asarray, metrics)
        phase, done = state.iteration // per_phase + 1, state.iteration + per_phase
        skip = 0 if state.iteration == 0 else 1  # the last row of the phase before
        rows = []
        for index in range(skip, per_phase // run.log_every + 1):
            at = {name: values[index] for name, values in metrics.items()}
            iteration = state.iteration + index * run.log_every
            rows += mixed_pool.metric_rows(run, at, phase=phase, iteration=iteration)
        updates = NUM_LEARNERS * run.seeds * per_phase
        timing = {"phase": phase, "updates_per_second": updates / (time.monotonic() - begin)}
        return Chunk(State(agents, optimiser, done), rows, timing, checkpoint.flatten(agents, "logits"), phase)

    def pack(self, state: State) -> dict[str, np.ndarray]:
        return checkpoint.flatten(state._replace(iteration=np.asarray(state.iteration)), "state")

    def unpack(self, arrays: dict[str, np.ndarray]) -> State:
        like = self.initial_state()
        loaded = checkpoint.unflatten(like._replace(iteration=np.asarray(0)), arrays, "state")
        return jax.tree.map(jnp.asarray, loaded)._replace(iteration=int(loaded.iteration))


def logits_of(settings: ExactIPD, agents: dict[str, np.ndarray]) -> Float[np.ndarray, "2 params seeds"]:
    """The logits of all agents, from the arrays of an agents file."""
    like = jax.ShapeDtypeStruct((NUM_LEARNERS, 5, settings.run.seeds), jnp.float32)
    return np.asarray(checkpoint.unflatten(like, agents, "logits"))


def match_episodes(settings: ExactIPD) -> int:
    """The agents remember one round."""
    return 1


def players(settings: ExactIPD, agents: dict[str, np.ndarray], *, phase: int, seed: int) -> list[Memory1]:
    """The agents of one seed as players, from the arrays of `phase`'s agents file."""
    check(settings)
    mixed_pool.check_seed(settings.run, seed)
    logits = logits_of(settings, agents)[:, :, seed - settings.run.seed]
    return [Memory1(np.asarray(table(jnp.asarray(own)))) for own in logits]
