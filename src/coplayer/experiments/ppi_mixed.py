"""PPI learners in the mixed pool of an iterated matrix game (Weis et al. 2026, figure 1A).

Each learner has its own weights and its own data. Some of its episodes (the paper: half) are against the other learner,
or learners, the rest against a tabular player drawn for each. Nothing tells the learner which, but for the ablation
`opponent_identity`.
"""

import math
import time
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from coplayer import settings as setting_groups
from coplayer.errors import require
from coplayer.experiments import mixed_pool
from coplayer.experiments.mixed_pool import (
    AMONG_STRANGERS,
    BEST_RESPONSE,
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
from coplayer.experiments.settings import CoPlayerSettings, EpisodeSettings, NetworkSettings, RunSettings, check_seeds
from coplayer.figures.published import Bound, Panel
from coplayer.games.game import Game
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.learning import ppi
from coplayer.learning.optimisation import BoundedAdamWSettings
from coplayer.learning.ppi import FittingSettings
from coplayer.networks.core import check_core
from coplayer.networks.world_model import RoundModel, TokenModel, WorldModel
from coplayer.play.player import Player
from coplayer.play.rollout import keys_of_rounds
from coplayer.play.trajectory import JointActions, seat_payoffs
from coplayer.players.automaton import Members
from coplayer.players.memory1 import TabularPlayers, identity_of, identity_size
from coplayer.players.planner import PlannerSettings, PPIPlayer
from coplayer.pools import strangers, tabular
from coplayer.pools.strangers import Pool
from coplayer.runs import checkpoint, hosts, memory, packing
from coplayer.runs.training import Chunk
from coplayer.settings import adjust, setting

NAME = "ppi-mixed"
SOURCE = "Weis et al. 2026, figure 1A"
LENDS_AGENTS = True
JOINABLE = True
WEIGHTS, TABULAR, FIT, PLAY = range(4)  # streams of random numbers
TABLES, ROUNDS = range(2)  # streams of one block of episodes
MOST_UPDATES = 256  # in one chunk; checkpoints are written between chunks only


@dataclass(frozen=True)
class ModelSettings(NetworkSettings):
    """Network"""

    model: str = setting("token", among=("round", "token"))
    """Sequence model: "round" takes one recurrent step per round, "token" (the paper) one each for observation, reward
    and action."""
    embedding: int = setting(32)
    """Width of a token's embedding, with --model token."""


@dataclass(frozen=True)
class DataSettings(EpisodeSettings):
    """Episodes"""

    tabular_episodes: int = setting(200_000)
    """Episodes of strangers among themselves that the data set starts with. With --learner-share 1 and without
    --start, the actions in these episodes are uniformly random."""
    fresh_tabular: bool = setting(False)
    """Draw the data set's episodes of strangers anew for every batch, instead of storing them."""
    play_blocks: int = setting(1)
    """Equal blocks in which a phase's episodes are played, one after the other. More blocks need less memory."""


@dataclass(frozen=True)
class PhasedPlannerSettings(PlannerSettings):
    """Planner: rollouts inside the sequence model"""

    later_rollouts: int = setting(0, at_least=0)
    """Imagined rollouts for each candidate action from phase --later-from on; 0: --rollouts in all phases."""
    later_open_rollouts: int = setting(0, at_least=0)
    """Further rollouts where the choice is most open, from phase --later-from on; 0: --open-rollouts in all phases."""
    later_from: int = setting(0, at_least=0)
    """First phase that uses --later-rollouts and --later-open-rollouts."""
    later_temperature: float = setting(0.0, at_least=0)
    """Temperature of the improved policy from phase --later-temperature-from on; 0: --temperature in all phases."""
    later_temperature_from: int = setting(0, at_least=0)
    """First phase that uses --later-temperature."""

    def in_phase(self, phase: int) -> PlannerSettings:
        """How the learners plan in a phase."""
        more, warmer = phase >= self.later_from, phase >= self.later_temperature_from
        plain = PlannerSettings(**{field.name: getattr(self, field.name) for field in fields(PlannerSettings)})
        return replace(
            plain,
            rollouts=(more and self.later_rollouts) or self.rollouts,
            open_rollouts=(more and self.later_open_rollouts) or self.open_rollouts,
            temperature=(warmer and self.later_temperature) or self.temperature,
        )


@dataclass(frozen=True)
class PPIMixed:
    """PPI learners in the mixed pool: some episodes against each other, the others against strangers."""

    game: Game = prisoners_dilemma()
    co_players: CoPlayerSettings = CoPlayerSettings()
    run: RunSettings = RunSettings(phases=30)
    network: ModelSettings = ModelSettings()
    data: DataSettings = DataSettings(episodes=20_000)
    fitting: FittingSettings = FittingSettings()
    optimiser: BoundedAdamWSettings = BoundedAdamWSettings(learning_rate=1e-4)
    planner: PhasedPlannerSettings = PhasedPlannerSettings()

    @property
    def block(self) -> Split:
        """Whom a learner meets in a block of episodes."""
        return Split.of(self.data.episodes // self.data.play_blocks, self.co_players)

    @property
    def identity_size(self) -> int:
        """Length of a co-player's identity, if the learner is told whom it meets; else 0."""
        return identity_size(self.game) if self.co_players.opponent_identity else 0

    @property
    def first_players(self) -> Pool:
        """Whose episodes among themselves the data set starts with."""
        if self.co_players.learner_share == 1 and self.co_players.start is None:
            return tabular.random_actions(self.game)
        return pool_of(self.co_players, self.game)

    @property
    def planners(self) -> set[PlannerSettings]:
        """How the learners plan, in all phases."""
        return {self.planner.in_phase(phase) for phase in range(1, self.run.phases + 1)}

    @property
    def fresh_count(self) -> int:
        """Tabular episodes that are drawn anew for every batch."""
        return self.data.tabular_episodes if self.data.fresh_tabular else 0

    @property
    def stored_count(self) -> int:
        """Tabular episodes that are stored, at the start of the data set."""
        return self.data.tabular_episodes - self.fresh_count


PRESETS: dict[str, PPIMixed] = {
    "paper": PPIMixed(),
    "quick": adjust(
        PPIMixed(),
        phases=20,
        model="round",
        hidden=32,
        tabular_episodes=20_000,
        fresh_tabular=True,
        episodes=2_000,
        warm_start=True,
        first_updates=1_000,
        updates=550,
        learning_rate=3e-3,
        rollouts=4,
        later_rollouts=12,
        later_from=9,
        later_temperature=0.6,
        later_temperature_from=12,
        expected_rewards=True,
        play_blocks=10,
    ),
}
DEMO = adjust(PRESETS["quick"], phases=18, fit_batch=128, later_rollouts=8, stratified=True)
CAREFUL = adjust(DEMO, later_rollouts=12, later_open_rollouts=24, later_temperature=0.0, later_temperature_from=0)
STEPS = PRESETS | {"quick": adjust(PRESETS["quick"], later_temperature=0.0, later_temperature_from=0)}
THROUGHOUT = {"rollouts": 12, "later_rollouts": 0, "later_from": 0}
STEP1 = {
    "paper": adjust(STEPS["paper"], learner_share=0.0),
    "quick": adjust(STEPS["quick"], learner_share=0.0, phases=10, **THROUGHOUT),
}
STEP2 = {name: adjust(step, frozen=Path("runs/ppi-step1")) for name, step in STEP1.items()}
STEP3 = {
    name: adjust(preset, learner_share=1.0, start=Path("runs/ppi-step2"), first_updates=preset.fitting.updates)
    for name, preset in STEPS.items()
}
STEP3["quick"] = adjust(STEP3["quick"], stratified=True, open_rollouts=24, **THROUGHOUT)
STRANGERS = {name: adjust(preset, **AMONG_STRANGERS) for name, preset in STEPS.items()}
RECIPES = {
    NAME: Recipe(PPIMixed.__doc__, SOURCE, PRESETS | {"demo": DEMO, "careful": CAREFUL}),
    "ppi-step1": Recipe(
        "Step 1, in-context best response: PPI learners among strangers alone.",
        "Weis et al. 2026, figure 2A-B",
        STEP1,
    ),
    "ppi-step2": Recipe(
        "Step 2, extortion: new PPI learners against the frozen ones of step 1 alone.",
        "Weis et al. 2026, figure 2C-D",
        STEP2,
    ),
    "ppi-step3": Recipe(
        "Step 3, mutual extortion becomes cooperation: the PPI learners of step 2 against each other.",
        "Weis et al. 2026, figure 2E-F",
        STEP3,
    ),
    "ppi-strangers": Recipe(f"PPI learners {WITH_STRANGERS}", "no paper", STRANGERS),
}


def check(settings: PPIMixed) -> None:
    """Refuse settings that cannot be trained, naming the setting and what is allowed."""
    require(
        isinstance(settings.game, MatrixGame),
        "game: PPI needs a matrix game, because its data set holds one joint action per round",
    )
    setting_groups.check_limits(settings)
    check_seeds(settings.run)
    check_core(settings.network.core, settings.network.hidden)
    co_players, data = settings.co_players, settings.data
    mixed_pool.check_co_players(co_players, settings.game)
    require(
        not (co_players.start and co_players.opponent_identity),
        "opponent_identity: not with start, whose episodes are stored without the co-players' identities",
    )
    require(
        settings.network.model == "round" or not settings.planner.expected_rewards,
        "expected_rewards: needs --model round (the token model gives no reward before the outcome is drawn)",
    )
    size = data.episodes / data.play_blocks
    for share in (size, size * co_players.learner_share / (co_players.learners - 1)):
        require(
            size >= 1 and abs(share - round(share)) < 1e-6,
            f"episodes: {data.episodes} in play_blocks = {data.play_blocks} blocks with learner_share = "
            f"{co_players.learner_share} against the other learners, {co_players.learners - 1} of them, must come out "
            "in whole episodes",
        )
    require(
        data.tabular_episodes >= settings.fitting.fit_batch,
        f"tabular_episodes: must be at least one batch, {settings.fitting.fit_batch}, got {data.tabular_episodes}",
    )
    mixed_pool.check_pool(co_players, settings.game)


def without_tabular(settings: PPIMixed) -> PPIMixed:
    """The ablation: the learners meet each other alone."""
    return adjust(settings, learner_share=1.0)


PUBLISHED = Published(
    learner="ppi",
    x="phase",
    mixed="1A",
    steps="2",
    in_the_mixed_pool=COOPERATES | BEST_RESPONSE,
    ablated={"cooperation_vs_learner": Bound(at_most=0.25)},
    together=COOPERATES,
)


def panel(settings: PPIMixed) -> Panel:
    """What the paper shows of such a run."""
    return PUBLISHED.panel(settings.co_players)


class DataSet(NamedTuple):
    """Where a learner's episodes are in its data set: stored tabular ones, those of the run it starts from, then those
    of each phase. Rows are numbered from 0.
    """

    stored: int
    carried: int
    per_phase: int
    phases: int

    @classmethod
    def of(cls, settings: PPIMixed, carried: int = 0) -> "DataSet":
        return cls(settings.stored_count, carried, settings.data.episodes, settings.run.phases)

    @property
    def capacity(self) -> int:
        """Rows of the data set."""
        return self.first_of(self.phases + 1)

    def first_of(self, phase: int | Int[Array, ""]) -> int | Int[Array, ""]:
        """The row where the episodes of a phase begin; on the host and on the device alike."""
        return self.stored + self.carried + (phase - 1) * self.per_phase

    def played_before(self, phase: int) -> slice:
        """Rows of episodes that were played before a phase, those of the run it starts from included."""
        return slice(self.stored, self.first_of(phase))


def new_model(settings: PPIMixed, key: PRNGKeyArray) -> WorldModel:
    """A sequence model with fresh weights."""
    network = settings.network
    how = {"core": network.core, "identity_size": settings.identity_size, "key": key}
    if network.model == "token":
        return TokenModel(settings.game, network.hidden, network.embedding, **how)
    return RoundModel(settings.game, network.hidden, **how)


def phase_key(trainee: Trainee, stream: int, phase: int | Int[Array, ""]) -> PRNGKeyArray:
    """The key of a learner's stream of random numbers in a phase."""
    return jax.random.fold_in(jax.random.fold_in(trainee.key, stream), phase)


def own_payoffs(settings: PPIMixed) -> Float[Array, " joint"]:
    """The rewards of the learner whose turn it is in a mapped function, by its own joint action."""
    return seat_payoffs(settings.game, 0, mixed_pool.seat())


def tabular_episodes(settings: PPIMixed, key: PRNGKeyArray, count: int) -> ppi.EpisodeBatch:
    """Episodes of tabular players among themselves, and the identities of the second players if the learner is told."""
    drawn = (key, settings.game, count, settings.first_players)
    return strangers.play(*drawn).joint, identity_of(tabular.opponents(*drawn)) if settings.identity_size else None


def new_trainee(settings: PPIMixed, rows: DataSet, key: PRNGKeyArray, given: Given = NOTHING) -> Trainee:
    """A learner before its first phase, with its first episodes in its data set."""
    model = given.weights
    if model is None:
        model = new_model(settings, jax.random.fold_in(jax.random.fold_in(key, WEIGHTS), 1))
    episodes, identities = first_data(settings, rows, key, given.episodes)
    return Trainee(ppi.new_state(model, settings.optimiser, episodes, identities), key, given.frozen)


def first_data(
    settings: PPIMixed, rows: DataSet, key: PRNGKeyArray, carried: UInt8[Array, "carried rounds"] | None
) -> tuple[UInt8[Array, "capacity rounds"], Float[Array, "capacity identity"] | None]:
    """The data set before the first phase, and the co-players' identities beside it. Tabular episodes are a
    function of the key; `carried` are those of another run.
    """
    episodes = jnp.zeros((rows.capacity, settings.game.rounds), dtype=jnp.uint8)
    identities = jnp.zeros((rows.capacity, settings.identity_size)) if settings.identity_size else None
    if carried is not None:
        episodes = episodes.at[rows.stored : rows.first_of(1)].set(carried)
    if rows.stored:
        joint, drawn = tabular_episodes(settings, jax.random.fold_in(key, TABULAR), rows.stored)
        episodes = episodes.at[: rows.stored].set(joint.T)
        identities = None if identities is None else identities.at[: rows.stored].set(drawn.T)
    return episodes, identities


def restart(settings: PPIMixed, trainee: Trainee, phase: Int[Array, ""]) -> Trainee:
    """The learner at the start of a phase: weights drawn anew, or carried on with `warm_start`."""
    if settings.fitting.warm_start:
        return trainee
    model, learner = new_model(settings, phase_key(trainee, WEIGHTS, phase)), trainee.learner
    return trainee._replace(learner=ppi.new_state(model, settings.optimiser, learner.episodes, learner.identities))


def fit(settings: PPIMixed, trainee: Trainee, at: dict[str, Int[Array, ""]]) -> tuple[Trainee, ppi.EpisodeLoss]:
    """Some updates of a phase. `at`: the phase, and which of its updates (see `ppi.fit`)."""
    numbers = {name: number for name, number in at.items() if name != "phase"}
    learner, losses = ppi.fit(
        trainee.learner,
        settings.fitting,
        settings.optimiser,
        own_payoffs(settings),
        **numbers,
        key=phase_key(trainee, FIT, at["phase"]),
        fresh=partial(tabular_episodes, settings),
        fresh_count=settings.fresh_count,
    )
    return trainee._replace(learner=learner), losses


def block_key(trainee: Trainee, phase: Int[Array, ""], block: Int[Array, ""]) -> PRNGKeyArray:
    """The key of a learner's block of episodes in a phase."""
    return jax.random.fold_in(phase_key(trainee, PLAY, phase), block)


def block_players(settings: PPIMixed, key: PRNGKeyArray) -> TabularPlayers | Members:
    """The strangers of the block of episodes with this key."""
    count, pool = settings.block.against_tabular, pool_of(settings.co_players, settings.game)
    return strangers.draw(jax.random.fold_in(key, TABLES), settings.game, count, pool)


def block_identities(settings: PPIMixed, key: PRNGKeyArray) -> Float[Array, "identity batch"] | None:
    """The identities of the co-players of the block of episodes with this key, if the learner is told."""
    if not settings.identity_size:
        return None
    learners = settings.block.size - settings.block.against_tabular
    return mixed_pool.identities(settings.identity_size, learners, block_players(settings, key).tables)


def add_identities(settings: PPIMixed, rows: DataSet, trainee: Trainee, phase: Int[Array, ""]) -> Trainee:
    """Write the identities of the co-players of a phase's episodes, a function of the key, into the data set."""
    if trainee.learner.identities is None:
        return trainee
    blocks = jnp.arange(settings.data.play_blocks)
    met = jax.lax.map(lambda block: block_identities(settings, block_key(trainee, phase, block)).T, blocks)
    row = rows.first_of(phase)
    identities = jax.lax.dynamic_update_slice(
        trainee.learner.identities, met.reshape(rows.per_phase, settings.identity_size), (row, jnp.zeros_like(row))
    )
    return trainee._replace(learner=trainee.learner._replace(identities=identities))


def play_block(
    settings: PPIMixed, planner: PlannerSettings, trainee: Trainee, key: PRNGKeyArray
) -> UInt8[Array, "rounds episodes"]:
    """The joint actions of the block of episodes with this key, in a function mapped over the learners."""
    game, split = settings.game, settings.block
    tables = mixed_pool.tables_for(game, split)
    player = PPIPlayer(trainee.learner.model, planner, block_identities(settings, key), own_payoffs(settings))
    others = trainee.frozen
    if others is None and split.against_tabular:
        others = block_players(settings, key)
    chance = keys_of_rounds(jax.random.fold_in(key, ROUNDS), jnp.arange(game.rounds), game.num_players)
    return mixed_pool.play_batch(tables, player, others, split, chance, key).records


def play_phase(
    settings: PPIMixed, rows: DataSet, planner: PlannerSettings, trainee: Trainee, phase: Int[Array, ""]
) -> tuple[Trainee, dict[str, Array]]:
    """Play one phase's episodes with the improved policy and add them to the data set. Returns the metrics beside."""
    game, learner = settings.game, trainee.learner
    blocks = jnp.arange(settings.data.play_blocks)
    joint = jax.lax.map(lambda block: play_block(settings, planner, trainee, block_key(trainee, phase, block)), blocks)
    row = rows.first_of(phase)
    episodes = jax.lax.dynamic_update_slice(
        learner.episodes, joint.transpose(0, 2, 1).reshape(rows.per_phase, game.rounds), (row, jnp.zeros_like(row))
    )
    trajectory = JointActions(joint.transpose(1, 0, 2), game, mixed_pool.seat())
    kind = "tabular" if trainee.frozen is None else "frozen"
    metrics = mixed_pool.play_metrics(trajectory, settings.block.against_learners, kind)
    trainee = trainee._replace(learner=learner._replace(episodes=episodes))
    return add_identities(settings, rows, trainee, phase), metrics


def memory_bytes(settings: PPIMixed, seed_batch: int, carried: int = 0) -> int:
    """About how much memory a run takes, in bytes: all data sets, and the larger of the two steps' working arrays."""
    game, network = settings.game, settings.network
    learners, seeds = settings.co_players.learners, settings.run.seeds
    row = game.rounds + 4 * settings.identity_size
    data = 3 * learners * seeds * DataSet.of(settings, carried).capacity * row  # copies, while it is mapped over seeds
    steps = game.rounds * (3 if network.model == "token" else 1)
    widths = 14 if network.core == "gru" else 42  # states, four gates, and their gradients; a Hawk's as in A2C
    fit = widths * steps * settings.fitting.fit_batch * network.hidden
    rollouts = max(planner.most_side_by_side for planner in settings.planners)
    states = math.ceil(game.num_actions * rollouts * settings.block.size)
    play = 10 * states * network.hidden  # the state, six gate products, the heads' features
    return data + learners * seed_batch * 4 * max(fit, play)


class State(NamedTuple):
    """A run between two chunks."""

    learners: Trainee  # leading axes [learner, seed]
    phase: int  # the phase under way, from 1; phases + 1 when all are done
    update: int  # updates done in it


def without_data(trainees: Trainee) -> Trainee:
    """All but what a checkpoint has elsewhere, or not at all since it follows from the key or from another run."""
    return Trainee(trainees.learner._replace(episodes=None, identities=None), trainees.key, None)


def played_in(source: Source) -> np.ndarray:
    """All episodes that the learners of a finished run have played and stored, `[learner, seed, row, round]`."""
    state, settings = source.last_state(), source.settings
    shape = (settings.co_players.learners, settings.run.seeds, int(state["rows"]), settings.game.rounds)
    return packing.unpack(state["episodes"], settings.game.num_joint, shape)


def given_by(settings: PPIMixed, frozen: Player | None, start: Source | None) -> Given:
    """What a run takes from others. Raises `CoplayerError` where it does not fit these settings."""
    if start is None:
        return Given(frozen)
    played, weights = start.settings.game.rounds, None
    require(
        played == settings.game.rounds,
        f"start: {start.folder.path} has episodes of {played} rounds, these settings {settings.game.rounds}",
    )
    if settings.fitting.warm_start:
        new = partial(new_model, settings, jax.random.key(0))
        weights = mixed_pool.start_weights(settings, start, new, "model")
    return Given(frozen, weights, played_in(start)[:, start.at_seeds_of(settings.run)])


class Trainer:
    """The experiment as the host runs it (see `runs.training.Training`)."""

    def __init__(self, settings: PPIMixed, *, frozen: Player | None = None, start: Source | None = None):
        check(settings)
        self.settings = settings
        run, learners = settings.run, settings.co_players.learners
        given = given_by(settings, frozen, start)
        carried = 0 if given.episodes is None else given.episodes.shape[2]
        self.rows = rows = DataSet.of(settings, carried)
        share = mixed_pool.share_of_process(settings)
        memory.require_fit(
            memory_bytes(share, mixed_pool.seed_batch(share.run), carried),
            "lower --seeds, --seed-batch, --episodes, --tabular-episodes, --fit-batch or --hidden, or raise "
            "--play-blocks",
        )

        def mapped(function):
            return mixed_pool.mapped(run, function, learners)

        initial = mapped(lambda given, _: new_trainee(settings, rows, *given))
        self._initial = lambda: initial((mixed_pool.keys(run, learners), given), 0)
        self._restart = mapped(partial(restart, settings))
        self._add_identities = mapped(partial(add_identities, settings, rows))
        self._fit = mapped(partial(fit, settings))
        self._play = {planner: mapped(partial(play_phase, settings, rows, planner)) for planner in settings.planners}

    def initial_state(self) -> State:
        return State(self._initial(), phase=1, update=0)

    def finished(self, state: State) -> bool:
        return state.phase > self.settings.run.phases

    def available(self, phase: int) -> int:
        """Episodes in the data set that phase's model is fitted to."""
        return self.settings.fresh_count + self.rows.first_of(phase)

    def updates(self, phase: int) -> int:
        """Updates in a phase."""
        fitting = self.settings.fitting
        fixed = fitting.first_updates if phase == 1 else fitting.updates
        return fixed or fitting.fit_epochs * ppi.updates_per_epoch(self.available(phase), fitting.fit_batch)

    def _work(self, phase: int) -> tuple[float, float]:
        """Recurrent steps for one update and for the playing of a phase: how the time left is judged."""
        settings = self.settings
        update = 3.0 * settings.fitting.fit_batch * settings.game.rounds
        play = float(self.imagined_rounds(phase) * settings.data.episodes * settings.game.rounds)
        return update, play

    def imagined_rounds(self, phase: int) -> float:
        """Imagined rounds for one real action, in the mean."""
        planner = self.settings.planner.in_phase(phase)
        return self.settings.game.num_actions * planner.mean_rollouts * planner.horizon

    def progress(self, state: State) -> float:
        def phase_work(phase: int) -> float:
            update, play = self._work(phase)
            return update * self.updates(phase) + play

        total = sum(map(phase_work, range(1, self.settings.run.phases + 1)))
        done = sum(map(phase_work, range(1, state.phase))) + self._work(state.phase)[0] * state.update
        return done / total

    def advance(self, state: State) -> Chunk:
        """Updates up to the end of an epoch, `MOST_UPDATES` at most, or the playing of a phase."""
        learners, phase, update = state
        total = self.updates(phase)
        if update == 0:
            learners = self._restart(learners, phase)
        if update < total:
            return self._advance_fit(State(learners, phase, update), total)

        settings, begin = self.settings, time.monotonic()
        learners, metrics = self._play[settings.planner.in_phase(phase)](learners, phase)
        rows = mixed_pool.metric_rows(settings.run, metrics, phase=phase)
        decisions = settings.co_players.learners * settings.run.seeds * settings.data.episodes * settings.game.rounds
        imagined = decisions * self.imagined_rounds(phase)
        timing = {"phase": phase, "imagined_rounds_per_second": imagined / (time.monotonic() - begin)}
        agents = checkpoint.flatten(learners.learner.model, "model")
        return Chunk(State(learners, phase + 1, 0), rows, timing, agents, phase)

    def _advance_fit(self, state: State, total: int) -> Chunk:
        learners, phase, update = state
        per_epoch = ppi.updates_per_epoch(self.available(phase), self.settings.fitting.fit_batch)
        stop = min(total, (update // per_epoch + 1) * per_epoch, update + MOST_UPDATES)
        at = {"available": self.available(phase), "start": update, "stop": stop, "total": total, "phase": phase}
        learners, losses = self._fit(learners, at)
        named = {f"loss_{name}": value for name, value in losses._asdict().items()}
        rows = mixed_pool.metric_rows(self.settings.run, named, phase=phase, update=stop)
        return Chunk(State(learners, phase, stop), rows, {"phase": phase, "updates": stop - update}, None, phase)

    def pack(self, state: State) -> dict[str, np.ndarray]:
        """Everything but tabular episodes, co-players' identities and frozen co-players: the first two follow from the
        key, the last are those of another run. Episodes take as few bits per round as they need.
        """
        played = hosts.on_host(state.learners.learner.episodes[:, :, self.rows.played_before(state.phase)])
        return checkpoint.flatten(without_data(state.learners), "learners") | {
            "episodes": packing.pack(played, self.settings.game.num_joint),
            "rows": np.asarray(played.shape[2]),
            "phase": np.asarray(state.phase),
            "update": np.asarray(state.update),
        }

    def unpack(self, arrays: dict[str, np.ndarray]) -> State:
        phase, update = int(arrays["phase"]), int(arrays["update"])
        empty, settings = self._initial(), self.settings
        filled = self.rows.played_before(phase)
        shape = (*empty.key.shape, filled.stop - filled.start, settings.game.rounds)
        played = packing.unpack(arrays["episodes"], settings.game.num_joint, shape)
        episodes = empty.learner.episodes.at[:, :, filled].set(hosts.placed(played, empty.learner.episodes))
        own = without_data(empty)
        loaded = hosts.placed(checkpoint.unflatten(own, arrays, "learners"), own)
        learner = loaded.learner._replace(episodes=episodes, identities=empty.learner.identities)
        learners = Trainee(learner, loaded.key, empty.frozen)
        if settings.identity_size:
            for done in range(1, phase):
                learners = self._add_identities(learners, done)
        return State(learners, phase, update)


def match_episodes(settings: PPIMixed) -> int:
    """The learners remember one episode."""
    return 1


def players(settings: PPIMixed, agents: dict[str, np.ndarray], *, phase: int, seed: int) -> list[PPIPlayer]:
    """The learners of one seed as players, from the arrays of `phase`'s agents file. They plan as in that phase."""
    check(settings)
    new, count = partial(new_model, settings, jax.random.key(0)), settings.co_players.learners
    models = mixed_pool.learners_of(settings.run, new, agents, "model", seed, count)
    planner = settings.planner.in_phase(phase)
    return [PPIPlayer(model, planner).in_seat(number % 2) for number, model in enumerate(models)]
