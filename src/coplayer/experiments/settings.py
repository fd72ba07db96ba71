"""The groups of settings that experiments share, each described once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coplayer.errors import require
from coplayer.networks.core import CORES
from coplayer.settings import setting

SEED_BOUND = 2**31  # seeds are 32-bit integers


@dataclass(frozen=True)
class RunSettings:
    """Run"""

    seeds: int = setting(1)
    """Independent repetitions, numbered from --seed."""
    seed: int = setting(0, at_least=0)
    """Number of the first seed."""
    phases: int = setting(20)
    """Equal parts of the training. The agents at the end of each part are kept."""
    seed_batch: int = setting(0, at_least=0)
    """Seeds trained side by side on a device. 0: one on a CPU, all on a GPU; exact-ipd: up to 8 on either."""
    checkpoint_seconds: float = setting(60.0)
    """Least seconds from one checkpoint to the next. The end of each phase is always a checkpoint."""


@dataclass(frozen=True)
class IterationSettings(RunSettings):
    """Run"""

    iterations: int = setting(3000)
    """Iterations of the training. All agents learn in each."""
    log_every: int = setting(10)
    """Iterations from one row of metrics to the next. A killed run loses the rows after its last checkpoint;
    resuming makes the same rows again."""


@dataclass(frozen=True)
class NetworkSettings:
    """Network"""

    core: str = setting("gru", among=CORES)
    """Kind of recurrent core: gru is a gated recurrent unit, hawk is one Hawk block."""
    hidden: int = setting(128)
    """Width of the recurrent core."""


@dataclass(frozen=True)
class EpisodeSettings:
    """Episodes"""

    episodes: int = setting(4096)
    """Episodes that each learner plays with one policy, before the policy changes."""


@dataclass(frozen=True)
class MetaTrajectorySettings:
    """Meta-trajectories"""

    inner_episodes: int = setting(20)
    """Inner episodes of a meta-trajectory (M): episodes in a row with one co-player. A naive learner makes a learning
    step after each."""


@dataclass(frozen=True)
class NaiveShareSettings:
    """Naive learners"""

    naive_share: float = setting(0.75, at_least=0, at_most=1)
    """Share of naive learners among an agent's co-players (p_naive); the others are other agents. With exact values:
    the weight of the naive learners in the agent's objective."""


@dataclass(frozen=True)
class CoPlayerSettings:
    """Co-players"""

    pool: tuple[str, ...] = setting(("uniform",))
    """Strangers that learners meet, who do not learn themselves: one is drawn per episode, each entry equally likely.
    "uniform" is a fresh player with random probabilities, who remembers one round ("tabular player" in the papers).
    "memory2" is a fresh player who remembers two rounds, "automata" a fresh finite automaton. "axelrod" is one of the
    Axelrod library's strategies for training, "mutants" such a strategy, changed at random. "random" takes every action
    with equal probability. The name of a strategy, such as tit_for_tat or Grudger, is an entry too. So are five
    probabilities of action 0, such as 1,1,0,1,0: in the first round, then after CC, CD, DC and DD. C is action 0, and
    the stranger's own action comes first. All but uniform and random need a matrix game of two actions, of which action
    0 cooperates. Those two need a game whose observations are symbols."""
    pool_noise: float = setting(0.0, at_least=0, at_most=1)
    """Probability that a stranger's hand trembles: the stranger then takes another action than the chosen one."""
    learners: int = setting(2)
    """Learners. Each has its own weights and its own episodes, and meets every other learner equally often."""
    learner_share: float = setting(0.5, at_least=0, at_most=1)
    """Share of a learner's episodes that are against the other learners; the rest is against strangers of the pool."""
    frozen: Path | None = None
    """Folder of a finished run. Instead of strangers, the learners meet that run's final agents, which no longer
    learn. Learner i meets agent i + 1 of the same seed; the last learner meets agent 0. Needs --learner-share 0."""
    start: Path | None = None
    """Folder of a finished run of the same experiment to start from. A2C starts from that run's weights. PPI starts
    from that run's episodes and, with --warm-start, from the weights too."""
    opponent_identity: bool = False
    """Tell the learner whom it meets (ablation): its first observation comes with the stranger's log-probabilities, or
    with zeros for a learner."""


def check_seeds(run: RunSettings) -> None:
    """Refuse seeds that are no 32-bit integers."""
    require(
        run.seed + run.seeds <= SEED_BOUND,
        f"seed: must be at most {SEED_BOUND - run.seeds} with {run.seeds} seed(s), got {run.seed}",
    )


def check_iterations(run: IterationSettings) -> None:
    """Refuse iterations that do not come out in whole phases and rows of metrics."""
    rows = run.phases * run.log_every
    require(
        run.iterations % rows == 0,
        f"iterations: must be a multiple of phases * log_every = {rows}, got {run.iterations}",
    )


def check_first(name: str, value: int, run: IterationSettings) -> None:
    """Refuse a number of first iterations that are not whole rows of metrics, or that leave none after them."""
    require(
        value % run.log_every == 0 and value < run.iterations,
        f"{name}: must be a multiple of log_every = {run.log_every} below iterations = {run.iterations}, got {value}",
    )


def check_annealing(settings: Any, first: int = 0) -> None:
    """Refuse a fall of the learning rate or of the entropy coefficient, or a rise of the lambdas, that begins after the
    training. All are counted from the end of the `first` iterations, which anneal by themselves.
    """
    iterations, loss = settings.run.iterations - first, settings.loss
    starts = {"entropy_from": loss.entropy_from, "lambda_from": loss.lambda_from}
    limit = f"iterations - tabular_iterations = {iterations}" if first else f"iterations = {iterations}"
    for name, begin in (starts | {"learning_rate_from": settings.optimiser.learning_rate_from}).items():
        require(begin < iterations, f"{name}: must be below {limit}, got {begin}")
