"""Experiments that train by iterations of playing and learning, as the host runs them."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from coplayer.errors import require
from coplayer.experiments import mixed_pool
from coplayer.learning.a2c import LearnerState
from coplayer.runs import checkpoint
from coplayer.runs.training import Chunk


def check_iterations(config: Any) -> None:
    """Refuse iterations that do not come out in whole phases and chunks."""
    phases = config.phases * config.log_every
    require(
        config.iterations % phases == 0,
        f"iterations: must be a multiple of phases * log_every = {phases}, got {config.iterations}",
    )


def check_first(config: Any, first: str) -> None:
    """Refuse a number of first iterations, the setting `first`, that are not whole chunks or leave none after them."""
    begin = getattr(config, first)
    require(
        begin % config.log_every == 0 and begin < config.iterations,
        f"{first}: must be a multiple of log_every = {config.log_every} below iterations = {config.iterations}, "
        f"got {begin}",
    )


class State(NamedTuple):
    """A run between two chunks."""

    learners: LearnerState  # leading axes [learner, seed]
    iteration: int  # iterations done


class IterationTrainer:
    """An experiment (see `runs.training.Experiment`) whose config has `iterations`, in `phases` equal parts, and a row
    of metrics every `log_every` of them, which is a chunk.
    """

    def __init__(
        self,
        config: Any,
        *,
        initial: Callable[[], LearnerState],
        train: Callable[[LearnerState, int], tuple[LearnerState, dict]],
        steps: Callable[[int], int],
        rate: str,
    ):
        """`initial()` gives the learners before their first iteration, `train(learners, iteration)` those after a chunk
        from that iteration on, and its metrics `[learner, seed]`. `steps(iteration)`: of all learners and seeds in an
        iteration, for the rate a second that is told as `rate`.
        """
        self.config = config
        self._initial = initial
        self._train = train
        self._steps = steps
        self._rate = rate

    def initial_state(self) -> State:
        return State(self._initial(), iteration=0)

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
        steps = self._steps(state.iteration) * config.log_every
        timing = {"phase": phase, self._rate: steps / (time.monotonic() - begin)}
        agents = None if done % per_phase else checkpoint.flatten(learners.network, "network")
        return Chunk(State(learners, done), rows, timing, agents, phase)

    def pack(self, state: State) -> dict[str, np.ndarray]:
        """Everything but the frozen co-players, which are those of another run."""
        learners = checkpoint.flatten(state.learners._replace(frozen=None), "learners")
        return learners | {"iteration": np.asarray(state.iteration)}

    def unpack(self, arrays: dict[str, np.ndarray]) -> State:
        like = self._initial()
        placement = jax.tree.map(lambda leaf: leaf.sharding, like)
        loaded = checkpoint.unflatten(like._replace(frozen=None), arrays, "learners")._replace(frozen=like.frozen)
        return State(jax.device_put(loaded, placement), int(arrays["iteration"]))
