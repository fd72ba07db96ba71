"""Two A2C learners in the mixed pool of an iterated matrix game (Weis et al. 2026, figure 1B; spec section 6.1).

Each learner has its own weights and its own episodes. Some of these (the paper: half) are against the other learner,
the others against a tabular player drawn for each. Nothing tells it which, but for the ablation `opponent_identity`.
"""

import time
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from coplayer.errors import require
from coplayer.experiments import mixed_pool
from coplayer.experiments.axes import swap_between_learners
from coplayer.experiments.mixed_pool import NUM_LEARNERS, make_game
from coplayer.figures.published import Panel
from coplayer.games.matrix import START, MatrixGame, observe
from coplayer.learning import a2c
from coplayer.networks.actor_critic import ActorCritic
from coplayer.networks.core import CoreKind, check_core
from coplayer.players.memory1 import sample
from coplayer.players.recurrent import RecurrentPlayer
from coplayer.pools import tabular
from coplayer.runs import checkpoint, memory
from coplayer.runs.training import Chunk

NAME = "a2c-mixed"
SOURCE = "Weis et al. 2026, figure 1B"
PANEL = Panel("1B", "A2C", "iteration", {"learner": "a2c_vs_a2c"})
WEIGHTS, PLAY = range(2)  # streams of random numbers
TABLES, DRAWS = range(2)  # streams of one iteration


@dataclass(frozen=True)
class A2CMixed:
    """Two A2C learners in the mixed pool: some episodes against each other, the others against tabular players."""

    payoffs: tuple[float, ...] = (1.0, -1.0, 2.0, 0.0)
    """One's own reward for each own action (rows) and co-player's action (columns), row by row: n * n numbers, or
    2 * n * n where the two players' tables differ. Action 0 counts as cooperation."""
    rounds: int = 100
    """Rounds of an episode."""
    pool: tuple[str, ...] = ("uniform",)
    """The tabular players, every entry equally likely in an episode: "uniform" (a fresh random one), a strategy's name
    such as tit_for_tat, or five probabilities of cooperation such as 1,1,0,1,0 (after START, CC, CD, DC, DD)."""
    learner_share: float = 0.5
    """Share of the episodes that are against the other learner; 1: no tabular players (ablation)."""
    opponent_identity: bool = False
    """Begin each episode with a vector that names the co-player: a tabular one's log-probabilities, zeros for a learner
    (ablation)."""
    seeds: int = 1
    """Independent repetitions, numbered from --seed."""
    seed: int = 0
    """The first seed."""
    iterations: int = 200_000
    """Iterations of playing a batch of episodes and one update with it."""
    phases: int = 20
    """Equal parts of the training; the agents at the end of each are kept."""
    log_every: int = 100
    """Iterations that a row of metrics is the mean of; a killed run loses whole intervals."""
    core: CoreKind = "gru"
    """The recurrent network: a GRU, or a Hawk block of the same width."""
    hidden: int = 128
    """Width of the recurrent state."""
    episodes: int = 4096
    """Episodes each learner plays in an iteration."""
    gamma: float = 0.99
    """Discount a round."""
    gae_lambda: float = 1.0
    """Lambda of the generalised advantage estimates."""
    td_lambda: float = 1.0
    """Lambda of the returns that the value is fitted to."""
    reward_scale: float = 0.02
    """Factor on the rewards in the losses; never in what is reported."""
    centred: bool = True
    """Centre the advantages, separately for episodes against the learner and against tabular players."""
    value_coefficient: float = 0.5
    """Weight of the value's squared error."""
    entropy_coefficient: float = 0.01
    """Weight of the policy's entropy."""
    entropy_end: float = 1.0
    """Share of the entropy coefficient left at the end of its annealing."""
    entropy_iterations: int = 0
    """Iterations in which the entropy coefficient is annealed; 0: all."""
    learning_rate: float = 1e-3
    """Adam's learning rate."""
    learning_rate_end: float = 1.0
    """Share of the learning rate left at the end of its annealing."""
    learning_rate_iterations: int = 0
    """Iterations in which the learning rate is annealed; 0: all."""
    annealing: Literal["linear", "cosine"] = "linear"
    """Shape of both annealings."""
    max_gradient_norm: float = 1.0
    """Bound on the gradient's norm."""
    seed_batch: int = 0
    """Seeds trained side by side by vmap; 0: all on a GPU, one at a time on a CPU."""
    checkpoint_seconds: float = 60.0
    """Save the state at the end of each phase, and when this much time has passed since the last save."""


PRESETS: dict[str, A2CMixed] = {
    "paper": A2CMixed(),
    "quick": A2CMixed(
        iterations=40_000,
        hidden=16,
        episodes=512,
        gamma=0.95,
        gae_lambda=0.9,
        td_lambda=0.9,
        reward_scale=0.2,
        entropy_coefficient=0.2,
        entropy_end=0.1,
        entropy_iterations=10_000,
        learning_rate=3e-3,
    ),
}


SHARES = ("learner_share", "gamma", "gae_lambda", "td_lambda", "entropy_end", "learning_rate_end")
MAY_BE_ZERO = {
    *("seed", "seed_batch", "entropy_iterations", "learning_rate_iterations", "entropy_coefficient"),
    *("value_coefficient", "gamma", "gae_lambda", "td_lambda", "entropy_end", "learning_rate_end"),
}


def check(config: A2CMixed) -> None:
    """Refuse a config that cannot be trained, naming the setting and what is allowed."""
    mixed_pool.check_numbers(config, MAY_BE_ZERO)
    check_core(config.core, config.hidden)
    for name in SHARES:
        require(getattr(config, name) <= 1, f"{name}: must be at most 1, got {getattr(config, name)}")
    require(config.annealing in ("linear", "cosine"), f"annealing: must be linear or cosine, got {config.annealing!r}")
    split = config.episodes * config.learner_share
    require(
        split >= 1 and abs(split - round(split)) < 1e-6,
        f"episodes: {config.episodes} with learner_share = {config.learner_share} against the learner must come out in "
        "whole episodes",
    )
    require(
        config.iterations % (config.phases * config.log_every) == 0,
        f"iterations: must be a multiple of phases * log_every = {config.phases * config.log_every}, "
        f"got {config.iterations}",
    )
    tabular.pool_of(config.pool, make_game(config))


class Setting(NamedTuple):
    """What the numerical code needs to know of a config; constants under `jit`."""

    game: MatrixGame
    pool: tabular.TabularPool
    updating: a2c.Updating
    core: CoreKind
    hidden: int
    context: int  # length of the vector that names the co-player; 0: none
    episodes: int  # an iteration, of which `against_learner` against the other learner
    against_learner: int
    log_every: int


def make_setting(config: A2CMixed) -> Setting:
    """The numerical side of a config."""
    game = make_game(config)

    def schedule(start: float, end: float, iterations: int) -> a2c.Schedule:
        return a2c.Schedule(start, end, iterations or config.iterations, config.annealing)

    return Setting(
        game=game,
        pool=tabular.pool_of(config.pool, game),
        updating=a2c.Updating(
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
            td_lambda=config.td_lambda,
            reward_scale=config.reward_scale,
            centred=config.centred,
            value_coefficient=config.value_coefficient,
            entropy=schedule(config.entropy_coefficient, config.entropy_end, config.entropy_iterations),
            learning_rate=schedule(config.learning_rate, config.learning_rate_end, config.learning_rate_iterations),
            max_gradient_norm=config.max_gradient_norm,
        ),
        core=config.core,
        hidden=config.hidden,
        context=game.num_observations * game.num_actions if config.opponent_identity else 0,
        episodes=config.episodes,
        against_learner=round(config.episodes * config.learner_share),
        log_every=config.log_every,
    )


def new_network(setting: Setting, key: PRNGKeyArray) -> ActorCritic:
    return ActorCritic(setting.game, setting.hidden, core=setting.core, context=setting.context, key=key)


def new_learner(setting: Setting, key: PRNGKeyArray) -> a2c.LearnerState:
    """A learner before its first iteration."""
    network = new_network(setting, jax.random.fold_in(key, WEIGHTS))
    return a2c.LearnerState(network, a2c.optimiser(setting.updating).init(network), key)


def contexts(setting: Setting, tables: Float[Array, "observations actions tabular"]) -> Float[Array, "context batch"]:
    """What names the co-player of each episode: nothing, or zeros for the learner and a tabular player's identity."""
    if not setting.context:
        return jnp.zeros((0, setting.episodes))
    return jnp.concatenate([jnp.zeros((setting.context, setting.against_learner)), tabular.identity(tables)], axis=1)


def play(setting: Setting, network: ActorCritic, payoffs: Float[Array, " joint"], key: PRNGKeyArray) -> a2c.Batch:
    """One iteration's episodes. In a function mapped over the learners, who exchange their actions in every round."""
    game, split, size = setting.game, setting.against_learner, setting.episodes
    tables = tabular.draw_tables(jax.random.fold_in(key, TABLES), game, size - split, setting.pool)
    draws = jax.random.uniform(jax.random.fold_in(key, DRAWS), (game.rounds, 2 * size - split))
    context = contexts(setting, tables)

    def step(carry, at):
        state, observation, other_observation = carry
        draws, first = at
        now = network.step(state, observation, jnp.where(first, context, 0.0))
        own = sample(jax.nn.softmax(now.outputs[:-1], axis=0), draws[:size])
        replies = tabular.act(tables, other_observation, draws[size:])
        joint = game.joint(own, jnp.concatenate([swap_between_learners(own[:split]), replies]))
        return (now.state, observe(joint), observe(game.swap(joint[split:]))), (joint, now)

    start = (network.initial_state(size), jnp.full((size,), START), jnp.full((size - split,), START))
    _, (joint, trace) = jax.lax.scan(step, start, (draws, jnp.arange(game.rounds) == 0))
    return a2c.Batch(joint, payoffs[joint], context, trace)


def iterate(
    setting: Setting, learner: a2c.LearnerState, iteration: Int[Array, ""]
) -> tuple[a2c.LearnerState, dict[str, Array]]:
    """Play a batch of episodes and update with it. Returns the metrics beside."""
    game, split = setting.game, setting.against_learner
    payoffs = mixed_pool.own_payoffs(game)
    key = jax.random.fold_in(jax.random.fold_in(learner.key, PLAY), iteration)
    batch = play(setting, learner.network, payoffs, key)
    learner, losses, norm = a2c.update(learner, batch, split, setting.updating, iteration)
    metrics = mixed_pool.play_metrics(batch.joint, payoffs, game, split)
    return learner, metrics | {
        "loss_policy": losses.policy,
        "loss_value": losses.value,
        "entropy": losses.entropy,
        "gradient_norm": norm,
        "weight_norm": optax.tree.norm(learner.network),
    }


def train_interval(
    setting: Setting, learner: a2c.LearnerState, start: Int[Array, ""]
) -> tuple[a2c.LearnerState, dict[str, Array]]:
    """The iterations of one row of metrics, from number `start` on."""
    iterations = start + jnp.arange(setting.log_every)
    learner, metrics = jax.lax.scan(lambda learner, at: iterate(setting, learner, at), learner, iterations)
    return learner, jax.tree.map(lambda values: values.mean(), metrics)


def memory_bytes(config: A2CMixed, seed_batch: int) -> int:
    """About how much memory a run takes, in bytes: the trace of the episodes under way, and its heads' gradients; with
    a Hawk, which runs over them again, what its layers keep for the backward pass.
    """
    widths = 6 if config.core == "gru" else 42  # measured
    trace = 4 * config.rounds * config.episodes * (widths * config.hidden + 20)
    return NUM_LEARNERS * (seed_batch * trace + config.seeds * 4 * 16 * config.hidden**2)


class State(NamedTuple):
    """A run between two chunks."""

    learners: a2c.LearnerState  # leading axes [learner, seed]
    iteration: int  # iterations done


class Trainer:
    """The experiment as the host runs it (see `runs.training.Experiment`)."""

    def __init__(self, config: A2CMixed):
        check(config)
        self.config = config
        self.setting = setting = make_setting(config)
        memory.require_fit(
            memory_bytes(config, mixed_pool.seed_batch(config)),
            "lower --seed-batch, --episodes, --rounds or --hidden",
        )
        self._initial = mixed_pool.mapped(config, lambda key, _: new_learner(setting, key))
        self._train = mixed_pool.mapped(config, lambda learner, start: train_interval(setting, learner, start))

    def initial_state(self) -> State:
        return State(self._initial(mixed_pool.keys(self.config), 0), iteration=0)

    def finished(self, state: State) -> bool:
        return state.iteration >= self.config.iterations

    def progress(self, state: State) -> float:
        return state.iteration / self.config.iterations

    def advance(self, state: State) -> Chunk:
        """The iterations of one row of metrics."""
        config, begin = self.config, time.monotonic()
        learners, metrics = self._train(state.learners, state.iteration)
        done = state.iteration + config.log_every
        per_phase = config.iterations // config.phases
        phase = state.iteration // per_phase + 1
        rows = mixed_pool.metric_rows(config, metrics, phase=phase, iteration=done)
        steps = NUM_LEARNERS * config.seeds * config.log_every * config.episodes * config.rounds
        timing = {"phase": phase, "agent_steps_per_second": steps / (time.monotonic() - begin)}
        agents = None if done % per_phase else checkpoint.flatten(learners.network, "network")
        return Chunk(State(learners, done), rows, timing, agents, phase)

    def pack(self, state: State) -> dict[str, np.ndarray]:
        return checkpoint.flatten(state.learners, "learners") | {"iteration": np.asarray(state.iteration)}

    def unpack(self, arrays: dict[str, np.ndarray]) -> State:
        like = self._initial(mixed_pool.keys(self.config), 0)
        placement = jax.tree.map(lambda leaf: leaf.sharding, like)
        learners = jax.device_put(checkpoint.unflatten(like, arrays, "learners"), placement)
        return State(learners, int(arrays["iteration"]))


def players(config: A2CMixed, agents: dict[str, np.ndarray], *, phase: int, seed: int) -> list[RecurrentPlayer]:
    """The learners of one seed as players, from the arrays of `phase`'s agents file."""
    check(config)
    setting = make_setting(config)
    networks = mixed_pool.learners_of(config, lambda: new_network(setting, jax.random.key(0)), agents, "network", seed)
    return [RecurrentPlayer(network) for network in networks]
