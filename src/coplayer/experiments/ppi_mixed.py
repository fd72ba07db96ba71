"""PPI learners in the mixed pool of an iterated matrix game (Weis et al. 2026, figure 1A; spec section 6.1).

Each learner has its own weights and its own data. Some of its episodes (the paper: half) are against the other learner,
or learners, the rest against a tabular player drawn for each. Nothing tells it which, but for the ablation
`opponent_identity`.
"""

import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from coplayer.errors import require
from coplayer.experiments import mixed_pool
from coplayer.experiments.axes import exchange_between_learners
from coplayer.experiments.mixed_pool import NOTHING, Given, Source, make_game
from coplayer.experiments.recipes import Recipe
from coplayer.figures.published import Bound, Panel
from coplayer.games.matrix import MatrixGame
from coplayer.learning import ppi
from coplayer.networks.core import CoreKind, check_core
from coplayer.networks.world_model import RoundModel, TokenModel
from coplayer.players.match import Player
from coplayer.players.planner import PlannerSettings, PPIPlayer
from coplayer.pools import tabular
from coplayer.runs import checkpoint, memory, packing
from coplayer.runs.training import Chunk

NAME = "ppi-mixed"
SOURCE = "Weis et al. 2026, figure 1A"
WEIGHTS, TABULAR, FIT, PLAY = range(4)  # streams of random numbers
MOST_UPDATES = 256  # in one chunk: what a killed run loses of a phase at most
UNSAVED = {"episodes": None, "contexts": None, "frozen": None}  # parts of the state that a checkpoint has elsewhere


@dataclass(frozen=True)
class PPIMixed:
    """PPI learners in the mixed pool: some episodes against each other, the others against tabular players."""

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
    """Share of the episodes that are against the other learners; 1: no tabular players (ablation), and the data set
    starts with episodes of uniformly random actions. 0: the learners never meet."""
    frozen: Path | None = None
    """Folder of a finished run. Each learner meets, instead of tabular players, that run's last agent of the next seat
    and of the same seed; it no longer learns. Needs --learner-share 0."""
    start: Path | None = None
    """Folder of a finished run of the same kind to begin from: its agents' weights (with --warm-start), and its
    episodes."""
    opponent_identity: bool = False
    """Begin each episode with a vector that names the co-player: a tabular one's log-probabilities, zeros for a learner
    (ablation)."""
    seeds: int = 1
    """Independent repetitions, numbered from --seed."""
    seed: int = 0
    """The first seed."""
    phases: int = 30
    """Phases of fitting the model and playing with the improved policy."""
    model: Literal["round", "token"] = "token"
    """Recurrent steps a round: one ("round"), or one each for observation, reward and action ("token", the paper)."""
    core: CoreKind = "gru"
    """The recurrent network: a GRU, or a Hawk block of the same width."""
    hidden: int = 128
    """Width of the recurrent state."""
    embedding: int = 32
    """Width of a token's embedding ("token" only)."""
    tabular_episodes: int = 200_000
    """Episodes of tabular players among themselves (or of random actions) that the data set starts with."""
    fresh_tabular: bool = False
    """Draw these anew for every batch instead of storing them."""
    episodes: int = 20_000
    """Episodes each learner plays and stores in a phase."""
    warm_start: bool = False
    """Carry the weights on from phase to phase, instead of drawing them anew."""
    epochs: int = 10
    """Passes over the data set in a phase (used where the number of updates is 0)."""
    first_updates: int = 0
    """Updates in the first phase; 0: by --epochs."""
    updates: int = 0
    """Updates in every later phase; 0: by --epochs."""
    batch: int = 256
    """Episodes in a batch."""
    learning_rate: float = 1e-4
    """AdamW's learning rate."""
    learning_rate_end: float = 1.0
    """Share of the learning rate left at the end of a phase (cosine)."""
    weight_decay: float = 1e-2
    """AdamW's weight decay."""
    beta1: float = 0.9
    """AdamW's decay of the gradient's mean."""
    beta2: float = 0.98
    """AdamW's decay of the gradient's square."""
    max_gradient_norm: float = 1.0
    """Bound on the gradient's norm."""
    observation_weight: float = 1.0
    """Weight of the loss on the co-player's actions (observations)."""
    action_weight: float = 1.0
    """Weight of the loss on one's own actions."""
    reward_weight: float = 1.0
    """Weight of the loss on rewards."""
    rollouts: int = 20
    """Imagined rollouts for each candidate action."""
    later_rollouts: int = 0
    """The same from phase --later-from on; 0: as before."""
    later_from: int = 0
    """First phase that uses --later-rollouts."""
    horizon: int = 15
    """Imagined rounds of a rollout."""
    temperature: float = 0.01
    """Of the improved policy: prior * exp(Q / temperature)."""
    later_temperature: float = 0.0
    """The same from phase --later-temperature-from on; 0: as before."""
    later_temperature_from: int = 0
    """First phase that uses --later-temperature."""
    expected_rewards: bool = False
    """Average each imagined round's reward over both players' actions ("round" only)."""
    common_random_numbers: bool = True
    """Use the same draws for all candidate actions."""
    play_blocks: int = 1
    """Play a phase's episodes in so many blocks, one after the other."""
    seed_batch: int = 0
    """Seeds trained side by side by vmap; 0: all on a GPU, one at a time on a CPU."""
    checkpoint_seconds: float = 60.0
    """Save the state at the end of each phase, and when this much time has passed since the last save."""


PRESETS: dict[str, PPIMixed] = {
    "paper": PPIMixed(),
    "quick": PPIMixed(
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
STEPS = PRESETS | {"quick": replace(PRESETS["quick"], later_temperature=0.0, later_temperature_from=0)}
STEP1 = {
    "paper": replace(STEPS["paper"], learner_share=0.0),
    "quick": replace(STEPS["quick"], learner_share=0.0, phases=10, rollouts=12, later_rollouts=0, later_from=0),
}
STEP2 = {name: replace(step, frozen=Path("runs/ppi-step1")) for name, step in STEP1.items()}
STEP3 = {
    name: replace(preset, learner_share=1.0, start=Path("runs/ppi-step2"), first_updates=preset.updates)
    for name, preset in STEPS.items()
}
RECIPES = {
    NAME: Recipe(PPIMixed.__doc__, SOURCE, PRESETS),
    "ppi-step1": Recipe(
        "Step 1, in-context best response: PPI learners among tabular players alone.",
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
}


MAY_BE_ZERO = {
    *("seed", "learner_share", "first_updates", "updates", "later_rollouts", "later_from", "seed_batch"),
    *("later_temperature", "later_temperature_from"),
    *("weight_decay", "observation_weight", "action_weight", "reward_weight", "beta1", "beta2", "learning_rate_end"),
}


def check(config: PPIMixed) -> None:
    """Refuse a config that cannot be trained, naming the setting and what is allowed."""
    mixed_pool.check_numbers(config, MAY_BE_ZERO)
    check_core(config.core, config.hidden)
    for name in ("beta1", "beta2"):
        require(getattr(config, name) < 1, f"{name}: must be below 1, got {getattr(config, name)}")
    mixed_pool.check_co_players(config)
    require(
        not (config.start and config.opponent_identity),
        "opponent_identity: not with start, whose episodes are not stored with the names of co-players",
    )
    require(config.learning_rate_end <= 1, f"learning_rate_end: must lie in [0, 1], got {config.learning_rate_end}")
    require(config.model in ("round", "token"), f"model: must be round or token, got {config.model!r}")
    require(
        config.model == "round" or not config.expected_rewards,
        "expected_rewards: needs --model round (the token model gives no reward before the outcome is drawn)",
    )
    size = config.episodes / config.play_blocks
    for share in (size, size * config.learner_share / (config.learners - 1)):
        require(
            size >= 1 and abs(share - round(share)) < 1e-6,
            f"episodes: {config.episodes} in play_blocks = {config.play_blocks} blocks with learner_share = "
            f"{config.learner_share} against the other learners, {config.learners - 1} of them, must come out in whole "
            "episodes",
        )
    require(
        config.tabular_episodes >= config.batch,
        f"tabular_episodes: must be at least one batch, {config.batch}, got {config.tabular_episodes}",
    )
    tabular.pool_of(config.pool, make_game(config))


BEST_RESPONSE = {
    "late_cooperation/tit_for_tat": Bound(at_least=0.8),
    "reward/always_cooperate": Bound(at_least=1.95),
    "reward/always_defect": Bound(at_least=-0.1),
}


def without_tabular(config: PPIMixed) -> PPIMixed:
    """The ablation: the learners meet each other alone."""
    return replace(config, learner_share=1.0)


def panel(config: PPIMixed) -> Panel:
    """What the paper shows of such a run: figure 1A, or 2A, C or E."""
    if config.frozen is not None:
        curves = {"vs_frozen": "ppi", "of_frozen": "fixed_icl"}
        return Panel("2C", "PPI", "phase", curves, {"share/frozen": Bound(at_least=0.6)})
    if config.learner_share == 0:
        return Panel("2A", "PPI", "phase", {"vs_tabular": "ppi", "of_tabular": "tabular"}, BEST_RESPONSE)
    if config.start is not None and config.learner_share == 1:
        return Panel("2E", "PPI", "phase", {"vs_learner": "ppi_2"}, {"cooperation_vs_learner": Bound(at_least=0.8)})
    if config.opponent_identity or config.learner_share == 1:
        return Panel("1A", "PPI", "phase", {}, {"cooperation_vs_learner": Bound(at_most=0.25)})
    curves = {"vs_learner": "ppi_vs_ppi", "vs_tabular": "ppi_vs_tabular"}
    bounds = {"cooperation_vs_learner": Bound(at_least=0.8), **BEST_RESPONSE}
    return Panel("1A", "PPI", "phase", curves, bounds)


class Setting(NamedTuple):
    """What the numerical code needs to know of a config; constants under `jit`."""

    game: MatrixGame
    fitting: ppi.Fitting
    planner: PlannerSettings
    warm_start: bool
    token_model: bool
    core: CoreKind
    hidden: int
    embedding: int
    context: int  # length of the vector that names the co-player; 0: none
    pool: tabular.TabularPool  # whom the learners meet beside each other
    tabular_episodes: int
    carried: int  # episodes of another run that the data set starts with, after the tabular ones
    episodes: int  # a phase: first `against_learner`, last `against_tabular`, between them against the frozen agent
    against_learner: int
    against_tabular: int
    blocks: int  # the episodes of a phase are played in this many blocks
    phases: int


def planner_in(config: PPIMixed, phase: int) -> PlannerSettings:
    """How the learners plan in a phase."""
    more, warmer = phase >= config.later_from, phase >= config.later_temperature_from
    return PlannerSettings(
        rollouts=(more and config.later_rollouts) or config.rollouts,
        horizon=config.horizon,
        temperature=(warmer and config.later_temperature) or config.temperature,
        expected_rewards=config.expected_rewards,
        common_random_numbers=config.common_random_numbers,
    )


def make_setting(config: PPIMixed, phase: int, carried: int = 0) -> Setting:
    """The numerical side of a config, as it is in `phase`, with so many episodes of another run."""
    game = make_game(config)
    pool = tabular.pool_of(config.pool, game)
    no_tabular = config.learner_share == 1 and config.start is None
    return Setting(
        game=game,
        fitting=ppi.Fitting(
            batch=config.batch,
            learning_rate=config.learning_rate,
            learning_rate_end=config.learning_rate_end,
            weight_decay=config.weight_decay,
            beta1=config.beta1,
            beta2=config.beta2,
            max_gradient_norm=config.max_gradient_norm,
            observation_weight=config.observation_weight,
            action_weight=config.action_weight,
            reward_weight=config.reward_weight,
            fresh_tabular=config.tabular_episodes if config.fresh_tabular else 0,
            pool=tabular.random_actions(game) if no_tabular else pool,
        ),
        planner=planner_in(config, phase),
        warm_start=config.warm_start,
        token_model=config.model == "token",
        core=config.core,
        hidden=config.hidden,
        embedding=config.embedding,
        context=tabular.identity_size(game) if config.opponent_identity else 0,
        pool=pool,
        tabular_episodes=config.tabular_episodes,
        carried=carried,
        episodes=config.episodes,
        against_learner=round(config.episodes * config.learner_share),
        against_tabular=mixed_pool.against_tabular(config),
        blocks=config.play_blocks,
        phases=config.phases,
    )


def new_model(setting: Setting, key: PRNGKeyArray):
    if setting.token_model:
        return TokenModel(
            setting.game, setting.hidden, setting.embedding, core=setting.core, context=setting.context, key=key
        )
    return RoundModel(setting.game, setting.hidden, core=setting.core, context=setting.context, key=key)


def phase_key(learner: ppi.LearnerState, stream: int, phase: Int[Array, ""]) -> PRNGKeyArray:
    return jax.random.fold_in(jax.random.fold_in(learner.key, stream), phase)


def stored_tabular(setting: Setting) -> int:
    """Tabular episodes at the start of the data set: all of them, or none if they are drawn fresh."""
    return setting.tabular_episodes - setting.fitting.fresh_tabular


def capacity(setting: Setting) -> int:
    """Rows of the data set."""
    return stored_tabular(setting) + setting.carried + setting.phases * setting.episodes


def new_learner(setting: Setting, key: PRNGKeyArray, given: Given = NOTHING) -> ppi.LearnerState:
    """A learner before its first phase, its tabular episodes drawn and those of another run in their place."""
    episodes = jnp.zeros((capacity(setting), setting.game.rounds), dtype=jnp.uint8)
    if given.episodes is not None:
        first = stored_tabular(setting)
        episodes = episodes.at[first : first + setting.carried].set(given.episodes)
    model = given.weights
    if model is None:
        model = new_model(setting, jax.random.fold_in(jax.random.fold_in(key, WEIGHTS), 1))
    optimiser = ppi.optimiser(setting.fitting).init(model)
    contexts = jnp.zeros((capacity(setting), setting.context)) if setting.context else None
    return add_tabular_episodes(setting, ppi.LearnerState(model, optimiser, episodes, key, contexts, given.frozen))


def add_tabular_episodes(setting: Setting, learner: ppi.LearnerState) -> ppi.LearnerState:
    """Write the stored tabular episodes, which are a function of the key, into the data set."""
    count = stored_tabular(setting)
    if not count:
        return learner
    drawn = (jax.random.fold_in(learner.key, TABULAR), setting.game, count, setting.fitting.pool)
    joint = tabular.play(*drawn).astype(jnp.uint8).T
    learner = learner._replace(episodes=learner.episodes.at[:count].set(joint))
    if learner.contexts is None:
        return learner
    names = tabular.identity(tabular.opponents(*drawn)).T
    return learner._replace(contexts=learner.contexts.at[:count].set(names))


def restart(setting: Setting, learner: ppi.LearnerState, phase: Int[Array, ""]) -> ppi.LearnerState:
    """The learner at the start of a phase: weights drawn anew, or carried on when `warm_start`."""
    if setting.warm_start:
        return learner
    model = new_model(setting, phase_key(learner, WEIGHTS, phase))
    return learner._replace(model=model, optimiser=ppi.optimiser(setting.fitting).init(model))


def block_key(learner: ppi.LearnerState, phase: Int[Array, ""], block: Int[Array, ""]) -> PRNGKeyArray:
    return jax.random.fold_in(phase_key(learner, PLAY, phase), block)


def block_tables(setting: Setting, key: PRNGKeyArray) -> Float[Array, "observations actions tabular"]:
    """The tabular players of the block of episodes with this key."""
    count = setting.against_tabular // setting.blocks
    return tabular.draw_tables(jax.random.fold_in(key, 0), setting.game, count, setting.pool)


def block_contexts(setting: Setting, key: PRNGKeyArray) -> Float[Array, "context batch"] | None:
    """What names the co-players of the block of episodes with this key, if the learner is told."""
    if not setting.context:
        return None
    learners = (setting.episodes - setting.against_tabular) // setting.blocks
    return mixed_pool.contexts(setting.context, learners, block_tables(setting, key))


def first_row(setting: Setting, phase: int | Int[Array, ""]) -> int | Int[Array, ""]:
    """Where the episodes of a phase begin in the data set; on the host and on the device alike."""
    return stored_tabular(setting) + setting.carried + (phase - 1) * setting.episodes


def add_contexts(setting: Setting, learner: ppi.LearnerState, phase: Int[Array, ""]) -> ppi.LearnerState:
    """Write what names the co-players of a phase's episodes, which is a function of the key, into the data set."""
    if learner.contexts is None:
        return learner
    blocks = jnp.arange(setting.blocks)
    names = jax.lax.map(lambda block: block_contexts(setting, block_key(learner, phase, block)).T, blocks)
    rows, row = names.reshape(setting.episodes, setting.context), first_row(setting, phase)
    return learner._replace(contexts=jax.lax.dynamic_update_slice(learner.contexts, rows, (row, jnp.zeros_like(row))))


def play_phase(
    setting: Setting, learner: ppi.LearnerState, phase: Int[Array, ""]
) -> tuple[ppi.LearnerState, dict[str, Array]]:
    """Play one phase's episodes with the improved policy and add them to the data set. Returns the metrics beside."""
    payoffs, others_payoffs = mixed_pool.own_payoffs(setting.game), mixed_pool.other_payoffs(setting.game)
    game, split = setting.game, setting.against_learner // setting.blocks
    size = setting.episodes // setting.blocks

    def block(index: Int[Array, ""]):
        key = block_key(learner, phase, index)
        player = PPIPlayer(learner.model, setting.planner, block_contexts(setting, key))
        frozen = learner.frozen
        others = tabular.TabularPlayers(block_tables(setting, key)) if frozen is None else frozen

        def step(carry, index):
            state, others_state = carry
            round_key = jax.random.fold_in(jax.random.fold_in(key, 1), index)
            own = player.act(state, jax.random.fold_in(round_key, 0))
            replies = others.act(others_state, jax.random.fold_in(round_key, 1))
            joint = game.joint(own, jnp.concatenate([exchange_between_learners(own[:split]), replies]))
            state = player.update(state, joint, payoffs[joint])
            seen = game.swap(joint[split:])
            return (state, others.update(others_state, seen, others_payoffs[seen])), joint.astype(jnp.uint8)

        start = (player.initial_state(size), others.initial_state(size - split))
        return jax.lax.scan(step, start, jnp.arange(game.rounds))[1]

    joint = jax.lax.map(block, jnp.arange(setting.blocks))  # [blocks, rounds, size]
    rows = joint.transpose(0, 2, 1).reshape(setting.episodes, game.rounds)
    row = first_row(setting, phase)
    episodes = jax.lax.dynamic_update_slice(learner.episodes, rows, (row, jnp.zeros_like(row)))

    kind = "tabular" if learner.frozen is None else "frozen"
    metrics = mixed_pool.play_metrics(joint, payoffs, game, split, kind, others_payoffs)
    return add_contexts(setting, learner._replace(episodes=episodes), phase), metrics


def memory_bytes(config: PPIMixed, seed_batch: int, carried: int = 0) -> int:
    """About how much memory a run takes, in bytes: all data sets, and the larger of the two steps' working arrays."""
    setting = make_setting(config, config.phases, carried)
    row = config.rounds + 4 * setting.context
    data = 3 * config.learners * config.seeds * capacity(setting) * row  # copies, while it is mapped over seeds
    steps = config.rounds * (3 if setting.token_model else 1)
    widths = 14 if config.core == "gru" else 42  # states, four gates, and their gradients; a Hawk's as in A2C
    fit = widths * steps * config.batch * config.hidden
    rollouts = max(config.rollouts, config.later_rollouts)
    rows = setting.game.num_actions * rollouts * config.episodes // config.play_blocks
    play = 10 * rows * config.hidden  # the state, six gate products, the heads' features
    return data + config.learners * seed_batch * 4 * max(fit, play)


class State(NamedTuple):
    """A run between two chunks."""

    learners: ppi.LearnerState  # leading axes [learner, seed]
    phase: int  # the phase under way, from 1; phases + 1 when all are done
    update: int  # updates done in it


def played_in(source: Source) -> np.ndarray:
    """All episodes that the learners of a finished run have played and stored, `[learner, seed, row, round]`."""
    state, config = source.last_state(), source.config
    shape = (config.learners, config.seeds, int(state["rows"]), config.rounds)
    return packing.unpack(state["episodes"], make_game(config).num_joint, shape)


class Trainer:
    """The experiment as the host runs it (see `runs.training.Experiment`)."""

    def __init__(self, config: PPIMixed, *, frozen: Player | None = None, start: Source | None = None):
        check(config)
        self.config = config
        self._given = Given(frozen)
        if start is not None:
            played = start.config.rounds
            require(
                played == config.rounds,
                f"start: {start.folder.path} has episodes of {played} rounds, these settings {config.rounds}",
            )
            weights = None
            if config.warm_start:
                fresh = make_setting(config, 1)
                weights = mixed_pool.start_weights(config, start, lambda: new_model(fresh, jax.random.key(0)), "model")
            self._given = Given(frozen, weights, played_in(start)[:, start.at_seeds_of(config)])
        carried = 0 if start is None else self._given.episodes.shape[2]
        self.setting = setting = make_setting(config, 1, carried)

        memory.require_fit(
            memory_bytes(config, mixed_pool.seed_batch(config), carried),
            "lower --seeds, --seed-batch, --episodes, --tabular-episodes, --batch or --hidden, or raise --play-blocks",
        )

        def mapped(function):
            return mixed_pool.mapped(config, function, config.learners)

        self._initial = mapped(lambda given, _: new_learner(setting, *given))
        self._restart = mapped(lambda learner, phase: restart(setting, learner, phase))
        self._add_contexts = mapped(lambda learner, phase: add_contexts(setting, learner, phase))
        self._play = {
            planner: mapped(partial(play_phase, setting._replace(planner=planner)))
            for planner in {planner_in(config, phase) for phase in range(1, config.phases + 1)}
        }
        self._fit = mapped(
            lambda learner, at: ppi.fit(
                learner,
                setting.fitting,
                setting.game,
                mixed_pool.own_payoffs(setting.game),
                available=at["available"],
                start=at["start"],
                stop=at["stop"],
                total=at["total"],
                key=phase_key(learner, FIT, at["phase"]),
            )
        )

    def initial_state(self) -> State:
        keys = mixed_pool.keys(self.config, self.config.learners)
        return State(self._initial((keys, self._given), 0), phase=1, update=0)

    def finished(self, state: State) -> bool:
        return state.phase > self.config.phases

    def available(self, phase: int) -> int:
        """Episodes in the data set that phase's model is fitted to."""
        return self.config.tabular_episodes + self.setting.carried + (phase - 1) * self.config.episodes

    def updates(self, phase: int) -> int:
        """Updates in a phase."""
        fixed = self.config.first_updates if phase == 1 else self.config.updates
        return fixed or self.config.epochs * ppi.updates_per_epoch(self.available(phase), self.config.batch)

    def _work(self, phase: int) -> tuple[float, float]:
        """Recurrent steps for one update and for the playing of a phase: how the time left is judged."""
        config = self.config
        update = 3.0 * config.batch * config.rounds
        play = float(self.imagined_rounds(phase) * config.episodes * config.rounds)
        return update, play

    def imagined_rounds(self, phase: int) -> int:
        """Imagined rounds for one real action."""
        return self.setting.game.num_actions * planner_in(self.config, phase).rollouts * self.config.horizon

    def progress(self, state: State) -> float:
        def phase_work(phase: int) -> float:
            update, play = self._work(phase)
            return update * self.updates(phase) + play

        total = sum(map(phase_work, range(1, self.config.phases + 1)))
        done = sum(map(phase_work, range(1, state.phase))) + self._work(state.phase)[0] * state.update
        return done / total

    def advance(self, state: State) -> Chunk:
        """Updates up to the end of an epoch, `MOST_UPDATES` at most, or the playing of a phase."""
        learners, phase, update = state
        total = self.updates(phase)
        if update == 0:
            learners = self._restart(learners, phase)
        if update < total:
            per_epoch = ppi.updates_per_epoch(self.available(phase), self.config.batch)
            stop = min(total, (update // per_epoch + 1) * per_epoch, update + MOST_UPDATES)
            at = {"available": self.available(phase), "start": update, "stop": stop, "total": total, "phase": phase}
            learners, losses = self._fit(learners, at)
            named = {f"loss_{name}": value for name, value in losses._asdict().items()}
            rows = mixed_pool.metric_rows(self.config, named, phase=phase, update=stop)
            return Chunk(State(learners, phase, stop), rows, {"phase": phase, "updates": stop - update}, None, phase)

        begin = time.monotonic()
        learners, metrics = self._play[planner_in(self.config, phase)](learners, phase)
        rows = mixed_pool.metric_rows(self.config, metrics, phase=phase)
        decisions = self.config.learners * self.config.seeds * self.config.episodes * self.config.rounds
        imagined = decisions * self.imagined_rounds(phase)
        timing = {"phase": phase, "imagined_rounds_per_second": imagined / (time.monotonic() - begin)}
        agents = checkpoint.flatten(learners.model, "model")
        return Chunk(State(learners, phase + 1, 0), rows, timing, agents, phase)

    def _filled(self, phase: int) -> slice:
        """Rows of the data set that phases before `phase` have played, those of the run it starts from included."""
        return slice(stored_tabular(self.setting), first_row(self.setting, phase))

    def pack(self, state: State) -> dict[str, np.ndarray]:
        """Everything but tabular episodes and co-players' names, which follow from the key; two bits a round."""
        learners = state.learners
        played = np.asarray(learners.episodes[:, :, self._filled(state.phase)])
        return checkpoint.flatten(learners._replace(**UNSAVED), "learners") | {
            "episodes": packing.pack(played, self.setting.game.num_joint),
            "rows": np.asarray(played.shape[2]),
            "phase": np.asarray(state.phase),
            "update": np.asarray(state.update),
        }

    def unpack(self, arrays: dict[str, np.ndarray]) -> State:
        phase, update = int(arrays["phase"]), int(arrays["update"])
        empty = self.initial_state().learners
        loaded = checkpoint.unflatten(empty._replace(**UNSAVED), arrays, "learners")
        filled = self._filled(phase)
        shape = (self.config.learners, self.config.seeds, filled.stop - filled.start, self.config.rounds)
        played = packing.unpack(arrays["episodes"], self.setting.game.num_joint, shape)
        episodes = empty.episodes.at[:, :, filled].set(played)
        placement = jax.tree.map(lambda leaf: leaf.sharding, empty)
        loaded = loaded._replace(episodes=episodes, contexts=empty.contexts, frozen=empty.frozen)
        learners = jax.device_put(loaded, placement)
        if self.setting.context:
            for done in range(1, phase):
                learners = self._add_contexts(learners, done)
        return State(learners, phase, update)


def players(config: PPIMixed, agents: dict[str, np.ndarray], *, phase: int, seed: int) -> list[PPIPlayer]:
    """The learners of one seed as players, from the arrays of `phase`'s agents file."""
    check(config)
    setting = make_setting(config, phase)
    new = partial(new_model, setting, jax.random.key(0))
    models = mixed_pool.learners_of(config, new, agents, "model", seed, config.learners)
    return [PPIPlayer(model, setting.planner) for model in models]
