"""A2C learners in the mixed pool of an iterated matrix game (Weis et al. 2026, figure 1B; spec section 6.1).

Each learner has its own weights and its own episodes. Some of these (the paper: half) are against the other learner,
or learners, the rest against a tabular player drawn for each. Nothing tells it which, but for the ablation
`opponent_identity`.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from coplayer.errors import require
from coplayer.experiments import mixed_pool
from coplayer.experiments.axes import exchange_between_learners, of_all_learners
from coplayer.experiments.iterations import IterationTrainer, check_first, check_iterations
from coplayer.experiments.mixed_pool import NOTHING, Given, Source, make_game
from coplayer.experiments.recipes import Recipe
from coplayer.figures.published import Bound, Panel
from coplayer.games.matrix import START, MatrixGame, observe
from coplayer.learning import a2c
from coplayer.networks.actor_critic import ActorCritic
from coplayer.networks.core import CoreKind, check_core
from coplayer.players.match import Player
from coplayer.players.recurrent import RecurrentPlayer, act
from coplayer.pools import tabular
from coplayer.runs import memory

NAME = "a2c-mixed"
SOURCE = "Weis et al. 2026, figure 1B"
WEIGHTS, PLAY = range(2)  # streams of random numbers
TABLES, DRAWS, FROZEN = range(3)  # streams of one iteration


@dataclass(frozen=True)
class A2CMixed:
    """A2C learners in the mixed pool: some episodes against each other, the others against tabular players."""

    payoffs: tuple[float, ...] = (1.0, -1.0, 2.0, 0.0)
    """One's own reward for each own action (rows) and co-player's action (columns), row by row: n * n numbers, or
    2 * n * n where the two players' tables differ. Action 0 counts as cooperation."""
    rounds: int = 100
    """Rounds of an episode."""
    pool: tuple[str, ...] = ("uniform",)
    """The tabular players, every entry equally likely in an episode: "uniform" (a fresh random one), a strategy's name
    such as tit_for_tat, or five probabilities of cooperation such as 1,1,0,1,0 (after START, CC, CD, DC, DD)."""
    learners: int = 2
    """Learners, each with weights and episodes of its own; each meets every other one equally often."""
    learner_share: float = 0.5
    """Share of the episodes that are against the other learners; 1: no tabular players (ablation). 0: the
    learners never meet."""
    tabular_iterations: int = 0
    """Iterations at the start with the episodes against tabular players alone (step 1), where there are any: the
    learners do not meet. After them the optimiser, and what is annealed, begin anew."""
    tabular_learning_rate: float = 3e-3
    """Adam's learning rate at their start; falls to a tenth in them."""
    tabular_entropy_coefficient: float = 0.03
    """Weight of the policy's entropy at their start; falls to a tenth in them."""
    frozen: Path | None = None
    """Folder of a finished run. Each learner meets, instead of tabular players, that run's last agent of the next seat
    and of the same seed; it no longer learns. Needs --learner-share 0."""
    start: Path | None = None
    """Folder of a finished run of the same kind to begin from: its agents' weights."""
    shared_start: bool = False
    """All learners begin with the weights of the first; so they do again where they meet after tabular_iterations. From
    there on each learns from its own episodes."""
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
    lambda_iterations: int = 0
    """Iterations in which both lambdas rise to 1; 0: they stay as they are."""
    bootstrap: bool = False
    """Take an episode for part of an endless game, as PPI's planner does: what lies beyond the last round is worth what
    the value says there, instead of 0."""
    reward_scale: float = 0.02
    """Factor on the rewards in the losses; never in what is reported."""
    centred: bool = True
    """Centre the advantages, separately for episodes against the learner and against tabular players."""
    normalised: bool = False
    """Divide them by their standard deviation too, separately likewise (by a reward of 1 where that is more)."""
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
    """Shape of all annealings."""
    max_gradient_norm: float = 1.0
    """Bound on the gradient's norm."""
    seed_batch: int = 0
    """Seeds trained side by side by vmap; 0: all on a GPU, one at a time on a CPU."""
    checkpoint_seconds: float = 60.0
    """Save the state at the end of each phase, and when this much time has passed since the last save."""


SHORT = A2CMixed(  # what all `quick` presets have in common
    gae_lambda=0.96,
    td_lambda=0.96,
    bootstrap=True,
    reward_scale=0.1,
    value_coefficient=0.1,
    annealing="cosine",
    max_gradient_norm=0.2,
)
PRESETS: dict[str, A2CMixed] = {
    "paper": A2CMixed(),
    "quick": replace(
        SHORT,
        tabular_iterations=8_000,
        tabular_entropy_coefficient=0.06,
        shared_start=True,
        learner_share=0.25,
        iterations=11_000,
        phases=22,
        hidden=32,
        episodes=1024,
        entropy_coefficient=0.05,
        entropy_end=0.4,
        entropy_iterations=1_500,
        learning_rate=1e-3,
        learning_rate_end=0.05,
        learning_rate_iterations=2_000,
    ),
}
QUICK_STEP = replace(
    SHORT,
    iterations=10_000,
    hidden=16,
    episodes=256,
    gamma=0.98,
    entropy_coefficient=0.03,
    entropy_end=0.67,
    learning_rate=3e-3,
    learning_rate_end=0.1,
)
STEP1 = {
    "paper": replace(
        PRESETS["paper"],
        learner_share=0.0,
        iterations=50_000,
        episodes=2048,
        gae_lambda=0.99,
        td_lambda=0.99,
        reward_scale=0.2,
        entropy_coefficient=0.001,
        learning_rate=0.005,
    ),
    "quick": replace(QUICK_STEP, learner_share=0.0, entropy_end=0.1),
}
STEP2 = {
    "paper": replace(
        STEP1["paper"],
        frozen=Path("runs/a2c-step1"),
        iterations=100_000,
        gae_lambda=1.0,
        td_lambda=1.0,
        reward_scale=0.05,
        centred=False,
    ),
    "quick": replace(STEP1["quick"], frozen=Path("runs/a2c-step1")),
}
STEP3 = {
    "paper": replace(
        PRESETS["paper"],
        learner_share=1.0,
        start=Path("runs/a2c-step2"),
        iterations=10_000,
        gae_lambda=0.95,
        td_lambda=0.95,
        entropy_coefficient=0.001,
        learning_rate=0.0005,
    ),
    "quick": replace(
        QUICK_STEP,
        learner_share=1.0,
        start=Path("runs/a2c-step2"),
        entropy_coefficient=0.02,
        learning_rate=1e-3,
    ),
}
RECIPES = {
    NAME: Recipe(A2CMixed.__doc__, SOURCE, PRESETS),
    "a2c-step1": Recipe(
        "Step 1, in-context best response: A2C learners among tabular players alone.",
        "Weis et al. 2026, figure 4A-B",
        STEP1,
    ),
    "a2c-step2": Recipe(
        "Step 2, extortion: new A2C learners against the frozen ones of step 1 alone.",
        "Weis et al. 2026, figure 4C-D",
        STEP2,
    ),
    "a2c-step3": Recipe(
        "Step 3, mutual extortion becomes cooperation: the A2C learners of step 2 against each other.",
        "Weis et al. 2026, figure 4E-F",
        STEP3,
    ),
}


SHARES = ("gamma", "gae_lambda", "td_lambda", "entropy_end", "learning_rate_end")
MAY_BE_ZERO = {
    *("seed", "learner_share", "tabular_iterations", "tabular_entropy_coefficient", "seed_batch"),
    *("lambda_iterations", "entropy_iterations", "learning_rate_iterations"),
    *("gamma", "gae_lambda", "td_lambda", "value_coefficient", "entropy_coefficient", "entropy_end"),
    "learning_rate_end",
}


def check(config: A2CMixed) -> None:
    """Refuse a config that cannot be trained, naming the setting and what is allowed."""
    mixed_pool.check_numbers(config, MAY_BE_ZERO)
    check_core(config.core, config.hidden)
    for name in SHARES:
        require(getattr(config, name) <= 1, f"{name}: must be at most 1, got {getattr(config, name)}")
    mixed_pool.check_co_players(config)
    require(config.annealing in ("linear", "cosine"), f"annealing: must be linear or cosine, got {config.annealing!r}")
    split = config.episodes * config.learner_share / (config.learners - 1)
    require(
        abs(split - round(split)) < 1e-6,
        f"episodes: {config.episodes} with learner_share = {config.learner_share} against the other learners, "
        f"{config.learners - 1} of them, must come out in whole episodes",
    )
    check_iterations(config)
    check_first(config, "tabular_iterations")
    tabular.pool_of(config.pool, make_game(config))


def meeting_from(config: A2CMixed) -> int:
    """The iteration from which on the learners meet whom `learner_share` says, or the frozen agents."""
    return config.tabular_iterations if mixed_pool.against_tabular(config) else 0


def without_tabular(config: A2CMixed) -> A2CMixed:
    """The ablation: the learners meet each other alone, from the first iteration on; so what is annealed is annealed
    over all iterations.
    """
    return replace(config, learner_share=1.0, entropy_iterations=0, learning_rate_iterations=0)


def panel(config: A2CMixed) -> Panel:
    """What the paper shows of such a run: figure 1B, or figure 4, of which no points are published."""
    if config.learner_share == 0 or (config.learner_share == 1 and config.start is not None):
        return Panel("4", "A2C", "iteration", {})
    if config.opponent_identity or config.learner_share == 1:
        return Panel("1B", "A2C", "iteration", {}, {"cooperation_vs_learner": Bound(at_most=0.1)})
    curves = {"vs_learner": "a2c_vs_a2c"}
    return Panel("1B", "A2C", "iteration", curves, {"cooperation_vs_learner": Bound(at_least=0.8)})


class Setting(NamedTuple):
    """What the numerical code needs to know of a config; constants under `jit`."""

    game: MatrixGame
    pool: tabular.TabularPool
    updating: a2c.Updating
    core: CoreKind
    hidden: int
    context: int  # length of the vector that names the co-player; 0: none
    episodes: int  # an iteration: first `against_learner`, last `against_tabular`, between them against the frozen one
    against_learner: int
    against_tabular: int
    log_every: int
    shared_start: bool


def make_setting(config: A2CMixed) -> Setting:
    """The numerical side of a config."""
    game = make_game(config)

    def schedule(start: float, end: float, iterations: int) -> a2c.Schedule:
        return a2c.Schedule(start, end, iterations or config.iterations - meeting_from(config), config.annealing)

    return Setting(
        game=game,
        pool=tabular.pool_of(config.pool, game),
        updating=a2c.Updating(
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
            td_lambda=config.td_lambda,
            reward_scale=config.reward_scale,
            centred=config.centred,
            normalised=config.normalised,
            value_coefficient=config.value_coefficient,
            entropy=schedule(config.entropy_coefficient, config.entropy_end, config.entropy_iterations),
            learning_rate=schedule(config.learning_rate, config.learning_rate_end, config.learning_rate_iterations),
            max_gradient_norm=config.max_gradient_norm,
            bootstrap=config.bootstrap,
            lambda_gap=schedule(1.0, 0.0, config.lambda_iterations) if config.lambda_iterations else a2c.constant(1.0),
        ),
        core=config.core,
        hidden=config.hidden,
        context=tabular.identity_size(game) if config.opponent_identity else 0,
        episodes=config.episodes,
        against_learner=round(config.episodes * config.learner_share),
        against_tabular=mixed_pool.against_tabular(config),
        log_every=config.log_every,
        shared_start=config.shared_start,
    )


TABULAR_END = 0.1  # what is left of rate and entropy coefficient after the iterations among tabular players alone


def among_tabular_players(config: A2CMixed) -> Setting:
    """The numerical side of a config's first iterations."""
    setting, iterations = make_setting(config), max(1, config.tabular_iterations)

    def schedule(start: float) -> a2c.Schedule:
        return a2c.Schedule(start, TABULAR_END, iterations, config.annealing)

    return setting._replace(
        episodes=setting.against_tabular,
        against_learner=0,
        updating=setting.updating._replace(
            entropy=schedule(config.tabular_entropy_coefficient),
            learning_rate=schedule(config.tabular_learning_rate),
            lambda_gap=a2c.constant(1.0),
        ),
    )


def new_network(setting: Setting, key: PRNGKeyArray) -> ActorCritic:
    return ActorCritic(setting.game, setting.hidden, core=setting.core, context=setting.context, key=key)


def new_learner(setting: Setting, key: PRNGKeyArray, given: Given = NOTHING) -> a2c.LearnerState:
    """A learner before its first iteration."""
    network = given.weights
    if network is None:
        network = new_network(setting, jax.random.fold_in(key, WEIGHTS))
    if setting.shared_start:
        network = jax.tree.map(lambda leaf: leaf[0], of_all_learners(network))
    state = a2c.optimiser(setting.updating.max_gradient_norm).init(network)
    return a2c.LearnerState(network, state, key, given.frozen)


def play(
    setting: Setting,
    network: ActorCritic,
    payoffs: Float[Array, " joint"],
    key: PRNGKeyArray,
    frozen: Player | None = None,
) -> a2c.Batch:
    """One iteration's episodes. In a function mapped over the learners, who exchange their actions in every round."""
    game, split, size = setting.game, setting.against_learner, setting.episodes
    tables = tabular.draw_tables(jax.random.fold_in(key, TABLES), game, setting.against_tabular, setting.pool)
    draws = jax.random.uniform(jax.random.fold_in(key, DRAWS), (game.rounds, size + setting.against_tabular))
    context = mixed_pool.contexts(setting.context, size - setting.against_tabular, tables)
    others = tabular.TabularPlayers(tables) if frozen is None else frozen
    others_payoffs = mixed_pool.other_payoffs(game)

    def step(carry, at):
        state, observation, others_state = carry
        draws, index = at
        now, own = act(network, state, observation, draws[:size], jnp.where(index == 0, context, 0.0))
        if frozen is None:  # its draws were made with all others, which is faster
            replies = tabular.act(tables, others_state, draws[size:])
        else:
            replies = frozen.act(others_state, jax.random.fold_in(jax.random.fold_in(key, FROZEN), index))
        joint = game.joint(own, jnp.concatenate([exchange_between_learners(own[:split]), replies]))
        seen = game.swap(joint[split:])
        return (now.state, observe(joint), others.update(others_state, seen, others_payoffs[seen])), (joint, now)

    start = (network.initial_state(size), jnp.full((size,), START), others.initial_state(size - split))
    _, (joint, trace) = jax.lax.scan(step, start, (draws, jnp.arange(game.rounds)))
    return a2c.Batch(joint, payoffs[joint], context, trace)


def iterate(
    setting: Setting, learner: a2c.LearnerState, iteration: Int[Array, ""]
) -> tuple[a2c.LearnerState, dict[str, Array]]:
    """Play a batch of episodes and update with it. Returns the metrics beside."""
    game, split = setting.game, setting.against_learner
    payoffs = mixed_pool.own_payoffs(game)
    key = jax.random.fold_in(jax.random.fold_in(learner.key, PLAY), iteration)
    batch = play(setting, learner.network, payoffs, key, learner.frozen)
    learner, losses, norm = a2c.update(learner, batch, split, setting.updating, iteration)
    kind = "tabular" if learner.frozen is None else "frozen"
    metrics = mixed_pool.play_metrics(batch.joint, payoffs, game, split, kind, mixed_pool.other_payoffs(game))
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
    return config.learners * (seed_batch * trace + config.seeds * 4 * 16 * config.hidden**2)


class Trainer(IterationTrainer):
    """The experiment as the host runs it."""

    def __init__(self, config: A2CMixed, *, frozen: Player | None = None, start: Source | None = None):
        check(config)
        setting, first, given = make_setting(config), among_tabular_players(config), Given(frozen)
        meeting = meeting_from(config)
        if start is not None:
            new = partial(new_network, setting, jax.random.key(0))
            given = Given(frozen, mixed_pool.start_weights(config, start, new, "network"))
        memory.require_fit(
            memory_bytes(config, mixed_pool.seed_batch(config)),
            "lower --seed-batch, --episodes, --rounds or --hidden",
        )

        def mapped(function):
            return mixed_pool.mapped(config, function, config.learners)

        initial = mapped(lambda given, _: new_learner(setting, *given))
        begun_anew = mapped(lambda old, _: new_learner(setting, old.key, Given(old.frozen, old.network)))
        mixed = mapped(lambda learner, start: train_interval(setting, learner, start))
        alone = mapped(lambda learner, start: train_interval(first, learner, start))

        def train(learners: a2c.LearnerState, iteration: int):
            if iteration < meeting:
                return alone(learners, iteration)
            if iteration == meeting > 0:
                learners = begun_anew(learners, iteration)
            return mixed(learners, iteration - meeting)  # draws and annealing as in a run that starts from here

        def steps(iteration: int) -> int:
            episodes = first.episodes if iteration < meeting else config.episodes
            return config.learners * config.seeds * episodes * config.rounds

        super().__init__(
            config,
            initial=lambda: initial((mixed_pool.keys(config, config.learners), given), 0),
            train=train,
            steps=steps,
            rate="agent_steps_per_second",
        )


def players(config: A2CMixed, agents: dict[str, np.ndarray], *, phase: int, seed: int) -> list[RecurrentPlayer]:
    """The learners of one seed as players, from the arrays of `phase`'s agents file."""
    check(config)
    setting = make_setting(config)
    new = partial(new_network, setting, jax.random.key(0))
    networks = mixed_pool.learners_of(config, new, agents, "network", seed, config.learners)
    return [RecurrentPlayer(network) for network in networks]
