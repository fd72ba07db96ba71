"""Two memory-1 agents with exact values, among naive learners and each other (Meulemans et al. 2025, sections 4 and 5).

An agent's policy is five logits of cooperation. Its objective is a mixture: with weight p_naive its mean reward over
the inner episodes in which a naive learner climbs its own exact gradient, differentiated through that learning; with
the rest its reward against the other agent, moved by any method of `learning.exact_gradients`. Rewards are discounted,
a round: (1 - discount) J.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key

from coplayer.analysis.exact import discounted_values
from coplayer.errors import require
from coplayer.experiments import mixed_pool
from coplayer.experiments.iterations import check_iterations
from coplayer.experiments.mixed_pool import make_game
from coplayer.experiments.recipes import Recipe
from coplayer.figures.published import Panel
from coplayer.games.matrix import MatrixGame
from coplayer.learning import exact_gradients
from coplayer.learning.exact_gradients import Method, Params, Values
from coplayer.players.memory1 import Memory1
from coplayer.runs import checkpoint
from coplayer.runs.training import Chunk

NAME = "exact-ipd"
SOURCE = "Meulemans et al. 2025, figures 3, 4, 8, 9 and 10"
POLICY, TRAINING, MEASURING = range(3)  # streams of random numbers
NUM_LEARNERS = 2  # and no more: their returns are those of a pair
OBSERVATIONS = ("start", "cc", "cd", "dc", "dd")
COOPERATION_GAME = MatrixGame([[1.0, 1.0], [0.0, 0.0]])  # pays 1 for one's own cooperation
MOST_AT_ONCE = 8  # seeds trained side by side: more no longer fit the cache with all that the backward pass keeps
STARTING_POLICIES = {
    "random": np.zeros(5),
    "always_defect": np.full(5, -3.0),
    "tit_for_tat": np.array([3.0, 3.0, -3.0, 3.0, -3.0]),
}


@dataclass(frozen=True)
class ExactIPD:
    """Two memory-1 agents with exact values and gradients, among naive learners and each other."""

    payoffs: tuple[float, ...] = (1.0, -1.0, 2.0, 0.0)
    """One's own reward at CC, CD, DC, DD (action 0 is C), or two such tables, one a player."""
    discount: float = 0.99
    """Discount a round."""
    start: Literal["random", "always_defect", "tit_for_tat"] = "random"
    """Where the agents begin: logits drawn around 0, or around those of probabilities .05 and .95."""
    start_scale: float = 1.0
    """Standard deviation of the first logits."""
    naive_share: tuple[float, ...] = (0.1,)
    """Weight of the naive learners in an agent's objective (p_naive), one for each of as many equal stages; the
    optimiser begins anew with each."""
    inner_episodes: int = 20
    """Inner episodes a naive learner is met for; it makes one step after each."""
    naive_rate: float = 5.0
    """A naive learner's step size, on its reward a round."""
    naive_learners: int = 16
    """Naive learners an agent meets in an iteration, their first logits drawn anew."""
    naive_scale: float = 1.0
    """Standard deviation of these."""
    method: Literal["naive", "lookahead", "lola", "sos"] = "naive"
    """How the agents move against each other."""
    method_share: float = 1.0
    """Weight of that method; the rest goes to the naive gradient."""
    lookaheads: int = 1
    """Steps of the other agent looked ahead ("lookahead" only)."""
    lookahead_rate: float = 5.0
    """Step size that the other agent is assumed to have, on its reward a round."""
    learning_rate: float = 0.01
    """AdamW's learning rate."""
    weight_decay: float = 1e-4
    """AdamW's weight decay."""
    iterations: int = 3000
    """Updates of both agents, all stages together."""
    log_every: int = 20
    """Iterations from one row of metrics to the next."""
    phases: int = 10
    """Equal parts of the training; the agents at the end of each are kept."""
    seeds: int = 32
    """Independent repetitions, numbered from --seed."""
    seed: int = 0
    """The first seed."""
    rounds: int = 100
    """Rounds of an episode, where the agents are evaluated in matches."""
    checkpoint_seconds: float = 60.0
    """Save the state at the end of each phase, and when this much time has passed since the last save."""


PRESETS = {"quick": ExactIPD(), "paper": ExactIPD()}  # the published size takes seconds on two cores

RECIPES = {NAME: Recipe(ExactIPD.__doc__, SOURCE, PRESETS)}

MAY_BE_ZERO = {"seed", "discount", "start_scale", "naive_scale", "method_share", "weight_decay", "lookahead_rate"}


def check(config: ExactIPD) -> None:
    """Refuse a config that cannot be trained, naming the setting and what is allowed."""
    mixed_pool.check_numbers(config, MAY_BE_ZERO)
    require(make_game(config).num_actions == 2, "payoffs: needs a game of 2 actions: 4 numbers, or 8")
    require(config.discount < 1, f"discount: must lie in [0, 1), got {config.discount:g}")
    require(config.method_share <= 1, f"method_share: must lie in [0, 1], got {config.method_share:g}")
    shares = config.naive_share
    require(
        bool(shares) and all(0 <= share <= 1 for share in shares),
        f"naive_share: needs one or more numbers in [0, 1], got {shares}",
    )
    for name, allowed in (("start", STARTING_POLICIES), ("method", METHODS)):
        value = getattr(config, name)
        require(value in allowed, f"{name}: must be one of {', '.join(allowed)}, got {value!r}")
    check_iterations(config)
    require(
        config.phases % len(shares) == 0,
        f"phases: must be a multiple of the {len(shares)} stages of naive_share, got {config.phases}",
    )


def panel(config: ExactIPD) -> Panel:
    """The paper's panels of these agents are drawn by `experiments.meulemans_exact`."""
    return Panel("", "exact agent", "iteration")


METHODS: dict[str, Callable[[ExactIPD], Method]] = {
    "naive": lambda config: exact_gradients.naive,
    "lookahead": lambda config: partial(exact_gradients.lookahead, steps=config.lookaheads, rate=config.lookahead_rate),
    "lola": lambda config: partial(exact_gradients.lola, rate=config.lookahead_rate),
    # Its radius is stated for gradients of the discounted sum J, which is 1 / (1 - discount) times the reward a round.
    "sos": lambda config: exact_gradients.rescaled(
        partial(exact_gradients.sos, rate=config.lookahead_rate * (1 - config.discount)), 1 / (1 - config.discount)
    ),
}


def method_of(config: ExactIPD) -> Method:
    """How an agent moves against the other one."""
    method = METHODS[config.method](config)
    if config.method_share == 1:
        return method
    return exact_gradients.mixture((config.method_share, method), (1 - config.method_share, exact_gradients.naive))


def table(logits: Params) -> Float[Array, "observations actions ..."]:
    """The policy of five logits of cooperation, as the exact values take it."""
    return jnp.stack([jax.nn.sigmoid(logits), jax.nn.sigmoid(-logits)], axis=1)


def values_of(game: MatrixGame, discount: float) -> Values:
    """Both players' expected discounted rewards a round, as a function of their logits."""

    def values(own: Params, other: Params) -> Float[Array, "2 ..."]:
        return (1 - discount) * discounted_values(table(own), table(other), game=game, discount=discount)

    return values


def naive_logits(keys: Key[Array, " seeds"], config: ExactIPD) -> Float[Array, "params seeds learners"]:
    """First logits of naive learners, drawn for each seed."""
    draw = jax.vmap(lambda key: jax.random.normal(key, (5, config.naive_learners)), out_axes=1)
    return config.naive_scale * draw(keys)


def streams(keys: Key[Array, "learner seed"], stream: int, index: Int[Array, ""]) -> Key[Array, "learner seed"]:
    """The keys of one iteration's random numbers of one kind."""
    return jax.vmap(jax.vmap(lambda key: jax.random.fold_in(jax.random.fold_in(key, stream), index)))(keys)


def against_naive(
    values: Values, own: Float[Array, "params seeds"], learners: Float[Array, "params seeds learners"], config: ExactIPD
) -> Float[Array, "episodes 2 seeds"]:
    """Rewards of an agent and of the naive learners it meets, by inner episode, means over the learners."""
    history, _ = exact_gradients.naive_learning(
        values, own[..., None], learners, steps=config.inner_episodes, rate=config.naive_rate
    )
    return history.mean(-1)


class State(NamedTuple):
    """A run between two chunks; `agents[learner, param, seed]`."""

    agents: Float[Array, "2 params seeds"]
    optimiser: optax.OptState
    iteration: int


class Trainer:
    """The experiment as the host runs it (see `runs.training.Experiment`)."""

    def __init__(self, config: ExactIPD):
        check(config)
        self.config = config
        game = make_game(config)
        self._seats = tuple(values_of(game.seen_by(seat), config.discount) for seat in range(NUM_LEARNERS))
        self._cooperation = values_of(COOPERATION_GAME, config.discount)
        self._keys = mixed_pool.keys(config, NUM_LEARNERS)
        self._optimiser = optax.adamw(config.learning_rate, weight_decay=config.weight_decay)
        self._train = jax.jit(self._train_phase, static_argnums=3)

    def initial_state(self) -> State:
        config = self.config
        keys = jax.vmap(jax.vmap(partial(jax.random.fold_in, data=POLICY)))(self._keys)
        noise = jax.vmap(jax.vmap(lambda key: jax.random.normal(key, (5,)), out_axes=-1))(keys)
        agents = jnp.asarray(STARTING_POLICIES[config.start])[:, None] + config.start_scale * noise
        return State(agents, self._optimiser.init(agents), 0)

    def finished(self, state: State) -> bool:
        return state.iteration >= self.config.iterations

    def progress(self, state: State) -> float:
        return state.iteration / self.config.iterations

    def _direction(self, learner: int, agents, keys, share: float) -> Params:
        """The direction in which one agent moves."""
        values, own, other = self._seats[learner], agents[learner], agents[1 - learner]
        direction = jnp.zeros_like(own)
        if share > 0:
            learners = naive_logits(keys, self.config)
            settings = {"steps": self.config.inner_episodes, "rate": self.config.naive_rate}
            total = exact_gradients.shaping(values, own[..., None], learners, **settings)[..., 0]
            direction += share / learners.shape[-1] * total
        if share < 1:
            direction += (1 - share) * method_of(self.config)(values, own, other)
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
        """An agent against the other, and against naive learners drawn for the occasion."""
        keys = streams(keys, MEASURING, iteration)
        by_learner = []
        for i, values in enumerate(self._seats):
            own, other = agents[i], agents[1 - i]
            met = against_naive(values, own, naive_logits(keys[i], self.config), self.config)
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
        """One phase from iteration `start` on, some seeds after the others. Metrics: `[row, learner, seed]`."""
        size = max(size for size in range(1, MOST_AT_ONCE + 1) if self.config.seeds % size == 0)

        def split(leaf):  # [..., seed] -> [block, ..., seed of the block]; what is shared stays
            return jnp.moveaxis(leaf.reshape(*leaf.shape[:-1], -1, size), -2, 0) if leaf.ndim else leaf

        def join(leaf):
            return jnp.moveaxis(leaf, 0, -2).reshape(*leaf.shape[1:-1], -1) if leaf.ndim > 1 else leaf[0]

        mapped, shared = eqx.partition((agents, optimiser, keys), lambda leaf: leaf.ndim > 0)

        def one_block(block):
            return self._train_block(*eqx.combine(block, shared), share, start)

        return jax.tree.map(join, jax.lax.map(one_block, jax.tree.map(split, mapped)))

    def _train_block(self, agents, optimiser, keys, share: float, start: Int[Array, ""]):
        """The same of seeds side by side; the metrics before each part of `log_every` iterations, and at the end."""
        config = self.config
        iterate = partial(self._iterate, keys=keys, share=share)

        def part(carry, first):
            measured = self._measure(carry[0], first, keys)
            carry, _ = jax.lax.scan(iterate, carry, first + jnp.arange(config.log_every))
            return carry, measured

        firsts = start + config.log_every * jnp.arange(config.iterations // config.phases // config.log_every)
        (agents, optimiser), measured = jax.lax.scan(part, (agents, optimiser), firsts)
        last = self._measure(agents, firsts[-1] + config.log_every, keys)
        return agents, optimiser, jax.tree.map(lambda rows, row: jnp.concatenate([rows, row[None]]), measured, last)

    def advance(self, state: State) -> Chunk:
        """One phase."""
        config, begin = self.config, time.monotonic()
        per_phase = config.iterations // config.phases
        per_stage = config.iterations // len(config.naive_share)
        share = config.naive_share[state.iteration // per_stage]
        starts_stage = state.iteration % per_stage == 0
        optimiser = self._optimiser.init(state.agents) if starts_stage else state.optimiser
        agents, optimiser, metrics = self._train(state.agents, optimiser, self._keys, share, state.iteration)
        metrics = jax.tree.map(np.asarray, metrics)
        phase, done = state.iteration // per_phase + 1, state.iteration + per_phase
        skip = 0 if state.iteration == 0 else 1  # the last row of the phase before
        rows = []
        for index in range(skip, per_phase // config.log_every + 1):
            at = {name: values[index] for name, values in metrics.items()}
            iteration = state.iteration + index * config.log_every
            rows += mixed_pool.metric_rows(config, at, phase=phase, iteration=iteration)
        updates = NUM_LEARNERS * config.seeds * per_phase
        timing = {"phase": phase, "updates_per_second": updates / (time.monotonic() - begin)}
        return Chunk(State(agents, optimiser, done), rows, timing, checkpoint.flatten(agents, "logits"), phase)

    def pack(self, state: State) -> dict[str, np.ndarray]:
        return checkpoint.flatten(state._replace(iteration=np.asarray(state.iteration)), "state")

    def unpack(self, arrays: dict[str, np.ndarray]) -> State:
        like = self.initial_state()
        loaded = checkpoint.unflatten(like._replace(iteration=np.asarray(0)), arrays, "state")
        return jax.tree.map(jnp.asarray, loaded)._replace(iteration=int(loaded.iteration))


def logits_of(config: ExactIPD, agents: dict[str, np.ndarray]) -> Float[np.ndarray, "2 params seeds"]:
    """The logits of all agents, from the arrays of an agents file."""
    like = jax.ShapeDtypeStruct((NUM_LEARNERS, 5, config.seeds), jnp.float32)
    return np.asarray(checkpoint.unflatten(like, agents, "logits"))


def players(config: ExactIPD, agents: dict[str, np.ndarray], *, phase: int, seed: int) -> list[Memory1]:
    """The agents of one seed as players, from the arrays of `phase`'s agents file."""
    check(config)
    mixed_pool.check_seed(config, seed)
    logits = logits_of(config, agents)[:, :, seed - config.seed]
    return [Memory1(np.asarray(table(jnp.asarray(own)))) for own in logits]
