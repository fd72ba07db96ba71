"""Experiments that train by iterations of playing and learning, as the host runs them."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from coplayer.experiments import mixed_pool
from coplayer.experiments.mixed_pool import Trainee
from coplayer.experiments.settings import IterationSettings
from coplayer.runs import checkpoint, hosts
from coplayer.runs.training import Chunk


class State(NamedTuple):
    """A run between two chunks."""

    learners: Trainee  # leading axes [learner, seed]
    iteration: int  # iterations done


def one_row(
    iterate: Callable[[Trainee, Int[Array, ""]], tuple[Trainee, dict[str, Array]]],
    trainee: Trainee,
    start: Int[Array, ""],
    run: IterationSettings,
) -> tuple[Trainee, dict[str, Array]]:
    """The iterations of one row of metrics, from number `start` on. The metrics are means over these."""
    trainee, metrics = jax.lax.scan(iterate, trainee, start + jnp.arange(run.log_every))
    return trainee, jax.tree.map(lambda values: values.mean(), metrics)


class IterationTrainer:
    """A training (see `runs.training.Training`) of `iterations` in `phases` equal parts. A chunk is the iterations of
    one row of metrics.
    """

    def __init__(
        self,
        settings: Any,
        *,
        initial: Callable[[], Trainee],
        train: Callable[[Trainee, int], tuple[Trainee, dict]],
        steps: Callable[[int], int],
        rate: str,
    ):
        """`initial()` gives the learners before their first iteration, `train(learners, iteration)` those after a chunk
        from that iteration on, and its metrics `[learner, seed]`. `steps(iteration)`: of all learners and seeds in an
        iteration, for the steps per second that timing.jsonl has as `rate`.
        """
        self.settings = settings
        self._initial = initial
        self._train = train
        self._steps = steps
        self._rate = rate

    def initial_state(self) -> State:
        return State(self._initial(), iteration=0)

    def finished(self, state: State) -> bool:
        return state.iteration >= self.settings.run.iterations

    def progress(self, state: State) -> float:
        return state.iteration / self.settings.run.iterations

    def advance(self, state: State) -> Chunk:
        """The iterations of one row of metrics."""
        run, begin = self.settings.run, time.monotonic()
        learners, metrics = self._train(state.learners, state.iteration)
        done = state.iteration + run.log_every
        per_phase = run.iterations // run.phases
        phase = state.iteration // per_phase + 1
        rows = mixed_pool.metric_rows(self.settings.run, metrics, phase=phase, iteration=done)
        steps = self._steps(state.iteration) * run.log_every
        timing = {"phase": phase, self._rate: steps / (time.monotonic() - begin)}
        agents = None if done % per_phase else checkpoint.flatten(learners.learner.network, "network")
        return Chunk(State(learners, done), rows, timing, agents, phase)

    def pack(self, state: State) -> dict[str, np.ndarray]:
        """Everything but the frozen co-players, which are those of another run."""
        learners = checkpoint.flatten(state.learners._replace(frozen=None), "learners")
        return learners | {"iteration": np.asarray(state.iteration)}

    def unpack(self, arrays: dict[str, np.ndarray]) -> State:
        like = self._initial()
        own = like._replace(frozen=None)
        loaded = hosts.placed(checkpoint.unflatten(own, arrays, "learners"), own)
        return State(loaded._replace(frozen=like.frozen), int(arrays["iteration"]))
