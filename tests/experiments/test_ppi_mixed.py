"""The mixed pool: who meets whom, what is stored, and the published setting."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.experiments import ppi_mixed
from coplayer.experiments.ppi_mixed import PRESETS, Trainer
from coplayer.runs import checkpoint, packing
from tiny import TINY, TINY_TOKEN


@pytest.fixture(scope="module")
def played():
    """A trainer and its state after the first phase."""
    trainer = Trainer(TINY)
    state = trainer.initial_state()
    while state.phase == 1:
        state = trainer.advance(state).state
    return trainer, state


def test_both_learners_store_the_same_games_among_them_each_in_its_own_view(played):
    _, state = played
    episodes = np.asarray(state.learners.episodes)[:, 0, : TINY.episodes]
    blocks = episodes.reshape(2, TINY.play_blocks, -1, TINY.rounds)
    half = blocks.shape[2] // 2
    mine, yours = blocks[0, :, :half], blocks[1, :, :half]
    np.testing.assert_array_equal(mine // 2, yours % 2)
    np.testing.assert_array_equal(mine % 2, yours // 2)
    assert (blocks[0, :, half:] != blocks[1, :, half:]).any()  # each meets tabular players of its own


def test_learners_have_weights_of_their_own(played):
    for leaf in jax.tree.leaves(played[1].learners.model):
        assert (leaf[0] != leaf[1]).any()


def test_the_metrics_are_those_of_the_stored_episodes():
    trainer = Trainer(TINY)
    state, rows = trainer.initial_state(), []
    while state.phase == 1:
        chunk = trainer.advance(state)
        state, rows = chunk.state, chunk.rows
    payoff = np.array([1.0, -1.0, 2.0, 0.0])
    for row in rows:
        episodes = np.asarray(state.learners.episodes)[row["learner"], 0, : TINY.episodes]
        blocks = episodes.reshape(TINY.play_blocks, -1, TINY.rounds)
        half = blocks.shape[1] // 2
        for kind, part in (("learner", blocks[:, :half]), ("tabular", blocks[:, half:])):
            assert row[f"cooperation_vs_{kind}"] == pytest.approx((part // 2 == 0).mean(), abs=1e-6)
            assert row[f"reward_vs_{kind}"] == pytest.approx(payoff[part].mean(), abs=1e-6)


def test_a_seed_gives_the_same_whatever_seeds_are_beside_it():
    def first_rows(config):
        trainer = Trainer(config)
        state, rows = trainer.initial_state(), []
        while state.phase == 1:
            chunk = trainer.advance(state)
            state, rows = chunk.state, rows + chunk.rows
        return [row for row in rows if row["seed"] == 1]

    alone = first_rows(dataclasses.replace(TINY, seed=1))
    for seed_batch in (1, 2):
        beside = first_rows(dataclasses.replace(TINY, seeds=2, seed_batch=seed_batch))
        for left, right in zip(alone, beside, strict=True):
            assert left.keys() == right.keys()
            np.testing.assert_allclose(list(left.values()), list(right.values()), atol=1e-5)


def test_without_warm_start_the_weights_are_drawn_anew_each_phase():
    trainer = Trainer(TINY_TOKEN)
    state = trainer.initial_state()
    first = np.asarray(state.learners.model.gru.hidden_weights)
    again = np.asarray(trainer._restart(state.learners, 2).model.gru.hidden_weights)
    bound = TINY_TOKEN.hidden**-0.5
    assert (np.abs(again) <= bound).all() and (again != first).all()


@pytest.mark.parametrize("config", [TINY, TINY_TOKEN], ids=["round", "token"])
def test_unpack_inverts_pack(config):
    trainer = Trainer(config)
    state = trainer.initial_state()
    while state.phase == 1:
        state = trainer.advance(state).state
    leaves = [np.asarray(_raw(leaf)) for leaf in jax.tree.leaves(state)]
    loaded = trainer.unpack(trainer.pack(state))
    for before, after in zip(leaves, jax.tree.leaves(loaded), strict=True):
        np.testing.assert_array_equal(before, np.asarray(_raw(after)))


def _raw(leaf):
    is_key = isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf


def test_a_hawk_learns_to_predict_and_is_loaded_as_a_player():
    """Against always-cooperate nothing about the co-player is uncertain, once it is learned."""
    config = dataclasses.replace(
        TINY, core="hawk", pool=("1,1,1,1,1",), phases=1, first_updates=40, later_from=0, learning_rate=0.03
    )
    trainer = Trainer(config)
    state, losses = trainer.initial_state(), []
    while not trainer.finished(state):
        chunk = trainer.advance(state)
        state = chunk.state
        losses += [row["loss_observation"] for row in chunk.rows if "loss_observation" in row]
    assert all(loss > 0.5 for loss in losses[:2]) and all(loss < 0.01 for loss in losses[-2:])
    for player in ppi_mixed.players(config, chunk.agents, phase=1, seed=0):
        assert player.model.gru is None
        state = player.update(player.initial_state(2), jnp.array([0, 3]), jnp.array([1.0, 0.0]))
        assert player.act(state, jax.random.key(0)).shape == (2,)


def test_a_pool_of_one_fixed_player_is_what_the_learners_meet():
    config = dataclasses.replace(TINY, pool=("1,1,1,1,1",))
    trainer = Trainer(config)
    state = trainer.initial_state()
    while state.phase == 1:
        state = trainer.advance(state).state
    blocks = np.asarray(state.learners.episodes)[:, 0, : TINY.episodes].reshape(2, TINY.play_blocks, -1, TINY.rounds)
    assert (blocks[:, :, blocks.shape[2] // 2 :] % 2 == 0).all()  # they always cooperate


def test_the_paper_preset_is_the_published_setting():
    paper = PRESETS["paper"]
    published = {
        "payoffs": (1, -1, 2, 0),
        "rounds": 100,
        "phases": 30,
        "model": "token",
        "hidden": 128,
        "embedding": 32,
        "tabular_episodes": 200_000,
        "episodes": 20_000,
        "warm_start": False,
        "epochs": 10,
        "batch": 256,
        "learning_rate": 1e-4,
        "weight_decay": 1e-2,
        "beta1": 0.9,
        "beta2": 0.98,
        "max_gradient_norm": 1.0,
        "horizon": 15,
        "temperature": 0.01,
        "learner_share": 0.5,
    }
    assert {name: getattr(paper, name) for name in published} == published
    for preset in PRESETS.values():
        ppi_mixed.check(preset)


def test_the_paper_presets_last_checkpoint_is_at_most_15_megabytes_a_learner():
    """Measured on a tenth of the data, as it is after 30 phases: half of it cooperation of learners who err one time in
    ten, half near-defection against players who cooperate with a random probability of their own after each outcome.
    """
    paper = PRESETS["paper"]
    setting = ppi_mixed.make_setting(paper, paper.phases)
    model = ppi_mixed.new_model(setting, jax.random.key(0))
    learner = ppi_mixed.ppi.LearnerState(
        model, ppi_mixed.ppi.optimiser(setting.fitting).init(model), None, jax.random.key(0)
    )
    weights = len(checkpoint.dump(checkpoint.flatten(learner, "learners"), {}))
    draws = np.random.default_rng(0)
    count = paper.phases * paper.episodes // 20
    among_learners = 2 * (draws.random((count, paper.rounds)) < 0.1) + (draws.random((count, paper.rounds)) < 0.1)
    own, table = draws.random((count, paper.rounds)) < 0.92, draws.random((count, 2))
    joint = np.zeros((count, paper.rounds), dtype=np.uint8)
    for t in range(paper.rounds):
        chance = table[np.arange(count), own[:, t - 1].astype(int)]
        joint[:, t] = 2 * own[:, t] + (draws.random(count) > chance)
    tenth = packing.pack(np.concatenate([among_learners.astype(np.uint8), joint]), 4)
    episodes = 10 * len(checkpoint.dump({"episodes": tenth}, {}))
    assert 5e6 < episodes and episodes + weights <= 15e6
