"""A2C learners in the mixed pool (Weis et al. 2026, figure 1B), in any two-player game.

Each learner has its own weights and its own episodes. Some of these (the paper: half) are against the other learner,
or learners, the rest against a tabular player drawn for each. Nothing tells the learner which, but for the ablation
`opponent_identity`.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int, PRNGKeyArray

from coplayer import settings as setting_groups
from coplayer.errors import require
from coplayer.experiments import mixed_pool
from coplayer.experiments.axes import of_all_learners
from coplayer.experiments.iterations import IterationTrainer, one_row
from coplayer.experiments.mixed_pool import (
    AMONG_STRANGERS,
    COOPERATES,
    NOTHING,
    WITH_STRANGERS,
    Given,
    Published,
    Source,
    Split,
    Trainee,
    pool_of,
)
from coplayer.experiments.protocol import Recipe
from coplayer.experiments.settings import (
    CoPlayerSettings,
    EpisodeSettings,
    IterationSettings,
    NetworkSettings,
    check_annealing,
    check_first,
    check_iterations,
    check_seeds,
)
from coplayer.figures.published import Bound, Panel
from coplayer.games.game import Game
from coplayer.games.matrix import prisoners_dilemma
from coplayer.learning import a2c
from coplayer.learning.a2c import A2CSettings
from coplayer.learning.optimisation import OptimiserSettings, new_state
from coplayer.networks.actor_critic import ActorCritic
from coplayer.networks.core import check_core
from coplayer.play.player import Player
from coplayer.play.trajectory import Trajectory
from coplayer.players.memory1 import identity_size
from coplayer.players.recurrent import RecurrentPlayer
from coplayer.pools import strangers
from coplayer.pools.tabular import has_tables
from coplayer.runs import memory
from coplayer.settings import adjust, setting

NAME = "a2c-mixed"
SOURCE = "Weis et al. 2026, figure 1B"
LENDS_AGENTS = True
JOINABLE = True
TABULAR_END = 0.1  # what is left of rate and entropy coefficient after the iterations among strangers alone
WEIGHTS, PLAY = range(2)  # streams of random numbers
TABLES, DRAWS, FROZEN = range(3)  # streams of one iteration


@dataclass(frozen=True)
class BeginningSettings:
    """Beginning: first iterations among strangers alone"""

    tabular_iterations: int = setting(0, at_least=0)
    """First iterations, in which the learners meet strangers alone. After them the optimiser begins anew, and so
    do the learning rate and the entropy coefficient. No effect where the learners meet no strangers."""
    tabular_learning_rate: float = setting(3e-3)
    """Learning rate at the start of the --tabular-iterations, at whose end it is a tenth."""
    tabular_entropy_coefficient: float = setting(0.03, at_least=0)
    """Weight of the policy's entropy at the start of the --tabular-iterations, at whose end it is a tenth."""
    shared_start: bool = setting(False)
    """Give all learners the first learner's weights when the training begins, and again after the --tabular-iterations.
    Between and after, each learner learns from its own episodes."""


@dataclass(frozen=True)
class A2CMixed:
    """A2C learners in the mixed pool: some episodes against each other, the others against strangers."""

    game: Game = prisoners_dilemma()
    co_players: CoPlayerSettings = CoPlayerSettings()
    run: IterationSettings = IterationSettings(phases=20, iterations=200_000, log_every=100)
    network: NetworkSettings = NetworkSettings()
    data: EpisodeSettings = EpisodeSettings()
    beginning: BeginningSettings = BeginningSettings()
    loss: A2CSettings = A2CSettings(reward_scale=0.02, entropy_coefficient=0.01)
    optimiser: OptimiserSettings = OptimiserSettings()

    @property
    def split(self) -> Split:
        """Whom a learner meets in an iteration."""
        return Split.of(self.data.episodes, self.co_players)

    @property
    def identity_size(self) -> int:
        """Length of a co-player's identity, if the learner is told whom it meets; else 0."""
        return identity_size(self.game) if self.co_players.opponent_identity else 0

    @property
    def meeting_from(self) -> int:
        """The iteration from which on the learners meet whom `learner_share` says, or the frozen agents."""
        return self.beginning.tabular_iterations if self.split.against_tabular else 0


SHORT = adjust(  # what all `quick` presets have in common
    A2CMixed(),
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
    "quick": adjust(
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
QUICK_STEP = adjust(  # as the mixed pool's `quick` preset begins, among strangers alone
    SHORT,
    iterations=8_000,
    hidden=32,
    episodes=768,
    entropy_coefficient=0.06,
    entropy_end=TABULAR_END,
    learning_rate=3e-3,
    learning_rate_end=TABULAR_END,
)
STEP1 = {
    "paper": adjust(
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
    "quick": adjust(QUICK_STEP, learner_share=0.0),
}
STEP2 = {
    "paper": adjust(
        STEP1["paper"],
        frozen=Path("runs/a2c-step1"),
        iterations=100_000,
        gae_lambda=1.0,
        td_lambda=1.0,
        reward_scale=0.05,
        centred=False,
    ),
    "quick": adjust(STEP1["quick"], frozen=Path("runs/a2c-step1"), iterations=4_000),
}
STEP3 = {
    "paper": adjust(
        PRESETS["paper"],
        learner_share=1.0,
        start=Path("runs/a2c-step2"),
        iterations=10_000,
        gae_lambda=0.95,
        td_lambda=0.95,
        entropy_coefficient=0.001,
        learning_rate=0.0005,
    ),
    "quick": adjust(
        QUICK_STEP,
        learner_share=1.0,
        start=Path("runs/a2c-step2"),
        iterations=6_000,
        episodes=512,
        entropy_coefficient=0.01,
        learning_rate=5e-4,
    ),
}
STRANGERS = {name: adjust(preset, **AMONG_STRANGERS) for name, preset in PRESETS.items()}
RECIPES = {
    NAME: Recipe(A2CMixed.__doc__, SOURCE, PRESETS),
    "a2c-step1": Recipe(
        "Step 1, in-context best response: A2C learners among strangers alone.",
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
    "a2c-strangers": Recipe(f"A2C learners {WITH_STRANGERS}", "no paper", STRANGERS),
}


def check(settings: A2CMixed) -> None:
    """Refuse settings that cannot be trained, naming the setting and what is allowed."""
    setting_groups.check_limits(settings)
    check_seeds(settings.run)
    check_core(settings.network.core, settings.network.hidden)
    co_players, episodes = settings.co_players, settings.data.episodes
    mixed_pool.check_co_players(co_players, settings.game)
    split = episodes * co_players.learner_share / (co_players.learners - 1)
    require(
        abs(split - round(split)) < 1e-6,
        f"episodes: {episodes} with learner_share = {co_players.learner_share} against the other learners, "
        f"{co_players.learners - 1} of them, must come out in whole episodes",
    )
    check_iterations(settings.run)
    check_first("tabular_iterations", settings.meeting_from, settings.run)
    check_annealing(settings, settings.meeting_from)
    if settings.split.against_tabular:
        mixed_pool.check_pool(co_players, settings.game)
    require(
        not co_players.opponent_identity or has_tables(settings.game),
        "opponent_identity: needs a game whose observations are symbols, in which co-players are tables",
    )


def without_tabular(settings: A2CMixed) -> A2CMixed:
    """The ablation: the learners meet each other alone, from the first iteration on. What falls over the training then
    falls over all iterations.
    """
    return adjust(settings, learner_share=1.0, entropy_iterations=0, learning_rate_iterations=0)


PUBLISHED = Published(
    learner="a2c",
    x="iteration",
    mixed="1B",
    steps="4",
    in_the_mixed_pool=COOPERATES,
    ablated={"cooperation_vs_learner": Bound(at_most=0.1)},
    together={},  # their cooperation may collapse
)


def panel(settings: A2CMixed) -> Panel:
    """What the paper shows of such a run."""
    return PUBLISHED.panel(settings.co_players)


class Part(NamedTuple):
    """One of the two parts of a training: among strangers alone, and after it."""

    split: Split
    updating: a2c.Updating


def main_part(settings: A2CMixed) -> Part:
    """The training once the learners meet whom they are to meet."""
    iterations = settings.run.iterations - settings.meeting_from
    return Part(settings.split, a2c.Updating(settings.loss, settings.optimiser, iterations))


def among_tabular_players(settings: A2CMixed) -> Part:
    """The first iterations."""
    alone = settings.split.against_tabular
    falling = adjust(
        settings,
        entropy_coefficient=settings.beginning.tabular_entropy_coefficient,
        learning_rate=settings.beginning.tabular_learning_rate,
        **dict.fromkeys(("entropy_end", "learning_rate_end"), TABULAR_END),
        **dict.fromkeys(("entropy_from", "entropy_iterations", "lambda_iterations"), 0),
        **dict.fromkeys(("learning_rate_from", "learning_rate_iterations"), 0),
    )
    iterations = max(1, settings.beginning.tabular_iterations)
    return Part(Split(alone, 0, alone), a2c.Updating(falling.loss, falling.optimiser, iterations))


def new_network(settings: A2CMixed, key: PRNGKeyArray) -> ActorCritic:
    network = settings.network
    return ActorCritic(settings.game, network.hidden, core=network.core, identity_size=settings.identity_size, key=key)


def new_trainee(settings: A2CMixed, key: PRNGKeyArray, given: Given = NOTHING) -> Trainee:
    """A learner before its first iteration."""
    network = given.weights
    if network is None:
        network = new_network(settings, jax.random.fold_in(key, WEIGHTS))
    if settings.beginning.shared_start:
        network = jax.tree.map(lambda leaf: leaf[0], of_all_learners(network))
    return Trainee(new_state(network, settings.optimiser), key, given.frozen)


def play(
    settings: A2CMixed, split: Split, network: ActorCritic, key: PRNGKeyArray, frozen: Player | None = None
) -> tuple[Trajectory, a2c.Batch]:
    """One iteration's episodes, in a function mapped over the learners."""
    game, rounds = settings.game, settings.game.rounds
    draws = jax.random.uniform(jax.random.fold_in(key, DRAWS), (rounds, split.size + split.against_tabular))
    others, identity = frozen, jnp.zeros((settings.identity_size, split.size))
    if frozen is None and split.against_tabular:
        pool = pool_of(settings.co_players, game)
        others = strangers.draw(jax.random.fold_in(key, TABLES), game, split.against_tabular, pool)
        if settings.identity_size:
            identity = mixed_pool.identities(settings.identity_size, split.against_learners, others.tables)
    frozen_keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(jax.random.fold_in(key, FROZEN), jnp.arange(rounds))
    tables = mixed_pool.tables_for(game, split)
    player = RecurrentPlayer(network, identity)
    replies = draws[:, split.size :] if frozen is None else frozen_keys
    played = mixed_pool.play_batch(tables, player, others, split, (draws[:, : split.size], replies), key)
    trajectory = played.trajectory(tables)
    view = trajectory.view(0)
    return trajectory, a2c.Batch(view.actions, view.rewards, view.beyond, identity, played.notes[0])


def iterate(
    settings: A2CMixed, part: Part, trainee: Trainee, iteration: Int[Array, ""]
) -> tuple[Trainee, dict[str, Array]]:
    """Play a batch of episodes and update with it. Returns the metrics beside."""
    split = part.split.against_learners
    key = jax.random.fold_in(jax.random.fold_in(trainee.key, PLAY), iteration)
    trajectory, batch = play(settings, part.split, trainee.learner.network, key, trainee.frozen)
    learner, losses, norm = a2c.update(trainee.learner, batch, split, part.updating, iteration)
    metrics = mixed_pool.play_metrics(trajectory, split, "tabular" if trainee.frozen is None else "frozen")
    return trainee._replace(learner=learner), metrics | {
        "loss_policy": losses.policy,
        "loss_value": losses.value,
        "entropy": losses.entropy,
        "gradient_norm": norm,
        "weight_norm": optax.tree.norm(learner.network),
    }


def train_interval(
    settings: A2CMixed, part: Part, trainee: Trainee, start: Int[Array, ""]
) -> tuple[Trainee, dict[str, Array]]:
    """The iterations of one row of metrics, from number `start` on."""
    return one_row(partial(iterate, settings, part), trainee, start, settings.run)


def memory_bytes(settings: A2CMixed, seed_batch: int) -> int:
    """About how much memory a run takes, in bytes: the trace of the episodes under way, and its heads' gradients. A
    Hawk runs over the episodes again, so what its layers keep for the backward pass counts too.
    """
    hidden = settings.network.hidden
    widths = 6 if settings.network.core == "gru" else 42  # measured
    inputs = settings.game.observation_space.size if not has_tables(settings.game) else 0
    trace = 4 * settings.game.rounds * settings.data.episodes * (widths * hidden + 20 + 2 * inputs)
    return settings.co_players.learners * (seed_batch * trace + settings.run.seeds * 4 * 16 * hidden**2)


class Trainer(IterationTrainer):
    """The experiment as the host runs it."""

    def __init__(self, settings: A2CMixed, *, frozen: Player | None = None, start: Source | None = None):
        check(settings)
        first, main, given = among_tabular_players(settings), main_part(settings), Given(frozen)
        run, learners, meeting = settings.run, settings.co_players.learners, settings.meeting_from
        if start is not None:
            new = partial(new_network, settings, jax.random.key(0))
            given = Given(frozen, mixed_pool.start_weights(settings, start, new, "network"))
        share = mixed_pool.share_of_process(settings)
        memory.require_fit(
            memory_bytes(share, mixed_pool.seed_batch(share.run)),
            "lower --seed-batch, --episodes, --hidden or the rounds of the game",
        )

        def mapped(function):
            return mixed_pool.mapped(run, function, learners)

        initial = mapped(lambda given, _: new_trainee(settings, *given))
        begun_anew = mapped(lambda old, _: new_trainee(settings, old.key, Given(old.frozen, old.learner.network)))
        mixed = mapped(lambda trainee, start: train_interval(settings, main, trainee, start))
        alone = mapped(lambda trainee, start: train_interval(settings, first, trainee, start))

        def train(trainees: Trainee, iteration: int):
            if iteration < meeting:
                return alone(trainees, iteration)
            if iteration == meeting > 0:
                trainees = begun_anew(trainees, iteration)
            return mixed(trainees, iteration - meeting)  # draws, and what falls, as in a run that starts from here

        def steps(iteration: int) -> int:
            part = first if iteration < meeting else main
            return learners * run.seeds * part.split.size * settings.game.rounds

        super().__init__(
            settings,
            initial=lambda: initial((mixed_pool.keys(run, learners), given), 0),
            train=train,
            steps=steps,
            rate="agent_steps_per_second",
        )


def match_episodes(settings: A2CMixed) -> int:
    """The learners remember one episode."""
    return 1


def players(settings: A2CMixed, agents: dict[str, np.ndarray], *, phase: int, seed: int) -> list[RecurrentPlayer]:
    """The learners of one seed as players, from the arrays of `phase`'s agents file."""
    check(settings)
    new, count = partial(new_network, settings, jax.random.key(0)), settings.co_players.learners
    networks = mixed_pool.learners_of(settings.run, new, agents, "network", seed, count)
    return [RecurrentPlayer(network) for network in networks]
