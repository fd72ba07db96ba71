"""The host's side of training by iterations, with a training whose numbers are known."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.experiments import mixed_pool
from coplayer.experiments.a2c_mixed import A2CMixed
from coplayer.experiments.iterations import IterationTrainer, State
from coplayer.experiments.mixed_pool import Trainee
from coplayer.runs.training import Training
from coplayer.settings import adjust

SETTINGS = adjust(A2CMixed(), iterations=12, phases=3, log_every=2, seeds=2, seed=5)


class Learner(NamedTuple):
    network: jax.Array
    updates: jax.Array


def new_trainer():
    """Two learners whose network is a number to which every iteration adds its own, and a frozen one beside."""
    run = SETTINGS.run

    def initial():
        zero = jnp.zeros((2, 2))
        frozen = jnp.full((2, 2), 7.0)
        return Trainee(Learner(zero, zero.astype(int)), mixed_pool.keys(run, 2), frozen)

    def train(trainees, iteration):
        network, updates = trainees.learner
        added = sum(range(iteration, iteration + run.log_every))
        learner = Learner(network + added + jnp.arange(2)[:, None], updates + run.log_every)
        return trainees._replace(learner=learner), {"value": learner.network, "twice": 2 * learner.network}

    return IterationTrainer(SETTINGS, initial=initial, train=train, steps=lambda at: 1000 + at, rate="steps_per_second")


def network_after(chunks):
    return sum(range(2 * chunks)) + chunks * np.arange(2)[:, None] + np.zeros((2, 2))


def test_chunk_by_chunk():
    trainer = new_trainer()
    assert isinstance(trainer, Training)
    state = trainer.initial_state()
    for chunk in range(1, 7):
        assert not trainer.finished(state) and trainer.progress(state) == pytest.approx((chunk - 1) / 6)
        made = trainer.advance(state)
        state, value = made.state, network_after(chunk)
        phase = 1 + (chunk - 1) // 2
        assert state.iteration == 2 * chunk and made.phase == phase
        assert made.rows == [
            {"phase": phase, "iteration": 2 * chunk, "seed": 5 + seed, "learner": learner}
            | {"value": value[learner, seed], "twice": 2 * value[learner, seed]}
            for seed in range(2)
            for learner in range(2)
        ]
        assert made.timing["phase"] == phase and made.timing["steps_per_second"] > 0
        if chunk % 2:
            assert made.agents is None
        else:
            assert made.agents.keys() == {"network"}
            np.testing.assert_array_equal(made.agents["network"], value)
    assert trainer.finished(state) and trainer.progress(state) == 1


def test_a_packed_state_is_the_state_but_for_the_frozen_players_of_another_run():
    trainer = new_trainer()
    state = trainer.advance(trainer.initial_state()).state
    arrays = trainer.pack(state)
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    assert not any("frozen" in name for name in arrays) and int(arrays["iteration"]) == 2
    found = trainer.unpack(arrays)
    assert isinstance(found, State) and found.iteration == 2
    for one, other in zip(jax.tree.leaves(found.learners), jax.tree.leaves(state.learners), strict=True):
        assert one.dtype == other.dtype and one.sharding == other.sharding and (one == other).all()
    assert (found.learners.frozen == 7).all()


def test_the_rate_is_that_of_the_iterations_of_a_chunk(monkeypatch):
    """Steps of `log_every` iterations, as many as `steps` says of the first, over the seconds that they took."""
    trainer, clock = new_trainer(), iter([10.0, 14.0])
    monkeypatch.setattr("coplayer.experiments.iterations.time.monotonic", lambda: next(clock))
    state = State(trainer.initial_state().learners, 4)
    assert trainer.advance(state).timing["steps_per_second"] == pytest.approx(2 * 1004 / 4)
