import functools
from dataclasses import fields, replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from coplayer.games.matrix import prisoners_dilemma
from coplayer.learning import ppi
from coplayer.learning.optimisation import BoundedAdamWSettings
from coplayer.networks.world_model import EpisodeLoss, RoundModel, TokenModel
from coplayer.players.memory1 import identity_of
from coplayer.pools import tabular
from oracles import with_random_weights

GAME = prisoners_dilemma(6)
PAYOFFS = GAME.payoff_vector()


class How(NamedTuple):
    """How a model is fitted."""

    fitting: ppi.FittingSettings
    optimiser: BoundedAdamWSettings


def fitting(**changes):
    steps = {field.name: changes.pop(field.name) for field in fields(BoundedAdamWSettings) if field.name in changes}
    optimiser = BoundedAdamWSettings(
        learning_rate=0.05,
        learning_rate_end=0.1,
        weight_decay=0.1,
        beta1=0.9,
        beta2=0.98,
        max_gradient_norm=1.0,
    )
    return How(ppi.FittingSettings(**{"fit_batch": 4} | changes), replace(optimiser, **steps))


def fresh(key, count, pool=tabular.UNIFORM):
    """Episodes of tabular players among themselves, and what names their second players."""
    return tabular.play(key, GAME, count, pool).joint, identity_of(tabular.opponents(key, GAME, count, pool))


def new_model(kind):
    def build():
        key = jax.random.key(0)
        return RoundModel(GAME, 4, key=key) if kind == "round" else TokenModel(GAME, 4, 3, key=key)

    return with_random_weights(build, 0, scale=0.4)


def new_learner(how, episodes, model=None):
    model = new_model("round") if model is None else model
    return ppi.new_state(model, how.optimiser, jnp.asarray(episodes, jnp.uint8))


def distinct_episodes(count, rounds=GAME.rounds):
    """Row i holds the digits of i in base 4, so a row names its index."""
    return np.array([[i // 4**t % 4 for t in range(rounds)] for i in range(count)])


def index_of(joint):
    """The indices of a batch [rounds, batch] of such episodes."""
    return (joint * 4 ** np.arange(len(joint))[:, None]).sum(0)


def run(learner, how, *, available, start, stop, total, seed=2, fresh_count=0):
    numbers = {"available": available, "start": start, "stop": stop, "total": total}
    numbers = {name: jnp.asarray(value) for name, value in numbers.items()}
    return fit(learner, how, numbers, jax.random.key(seed), fresh_count)


@eqx.filter_jit
def fit(learner, how, numbers, key, fresh_count):
    return ppi.fit(learner, *how, PAYOFFS, **numbers, key=key, fresh=fresh, fresh_count=fresh_count)


def assert_same(tree, other, **tolerance):
    assert jax.tree.structure(tree) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True):
        if tolerance:
            np.testing.assert_allclose(a, b, **tolerance)
        else:
            np.testing.assert_array_equal(a, b)


# --- loss and learning rate ---


def test_total_loss_weighs_each_part():
    how = fitting(observation_weight=2.0, action_weight=3.0, reward_weight=5.0)
    loss = EpisodeLoss(observation=jnp.asarray(0.7), action=jnp.asarray(0.11), reward=jnp.asarray(0.013))
    assert float(ppi.total_loss(how.fitting, loss)) == pytest.approx(1.4 + 0.33 + 0.065)


# --- the order of an epoch ---


def test_updates_per_epoch():
    assert [ppi.updates_per_epoch(a, b) for a, b in ((12, 4), (15, 4), (4, 4), (3, 4))] == [3, 3, 1, 1]


@pytest.mark.parametrize(("available", "capacity"), [(1, 5), (4, 6), (20, 20)])
def test_epoch_order_puts_the_available_indices_first(available, capacity):
    for seed in range(5):
        order = np.asarray(ppi.epoch_order(jax.random.key(seed), jnp.asarray(available), capacity))
        assert sorted(order[:available]) == list(range(available))
        assert sorted(order[available:]) == list(range(available, capacity))


def test_every_order_of_an_epoch_is_equally_likely():
    count = 6000
    keys = jax.random.split(jax.random.key(0), count)
    orders = jax.vmap(lambda key: ppi.epoch_order(key, jnp.asarray(3), 5))(keys)[:, :3]
    shares = np.unique(np.asarray(orders) @ [9, 3, 1], return_counts=True)[1] / count
    assert len(shares) == 6
    assert np.all(np.abs(shares - 1 / 6) < 5 * np.sqrt(5 / 36 / count))


# --- batches ---


def test_batches_of_an_epoch_hold_every_stored_episode_once():
    how, count = fitting(fit_batch=4), 12
    learner = new_learner(how, distinct_episodes(16))
    order = ppi.epoch_order(jax.random.key(0), jnp.asarray(count), 16)
    batches = [ppi.take_batch(learner, order[start : start + 4], jax.random.key(start))[0] for start in (0, 4, 8)]
    assert all(batch.shape == (GAME.rounds, 4) and jnp.issubdtype(batch.dtype, jnp.signedinteger) for batch in batches)
    assert sorted(index_of(np.concatenate(batches, axis=1))) == list(range(count))


def test_fresh_episodes_come_in_the_place_of_the_first_indices():
    learner = new_learner(fitting(), distinct_episodes(7))
    indices = jnp.array([0, 5, 4, 11, 2, 8, 4])
    new, stored = np.array([0, 2, 4, 6]), np.array([1, 3, 5])
    keys = jax.random.split(jax.random.key(0), 200)

    def take(key):
        return ppi.take_batch(learner, indices, key, fresh=fresh, fresh_count=5)[0]

    batches = np.asarray(jax.vmap(take)(keys))
    for batch in batches:
        np.testing.assert_array_equal(index_of(batch[:, stored]), [0, 6, 3])
    # fresh ones: another for every key and every place, all joint actions equally likely
    drawn = batches[:, :, new].transpose(0, 2, 1).reshape(-1, GAME.rounds)
    assert len(np.unique(drawn, axis=0)) > 0.7 * len(drawn)
    for j in range(4):
        share = (drawn == j).mean(1)
        assert abs(share.mean() - 0.25) < 5 * share.std() / np.sqrt(len(share))


def test_names_of_co_players_stay_with_their_episodes():
    """Stored ones beside their rows. A fresh co-player of fixed ways is named by its table, and plays by it."""
    pool = tabular.pool_of(("tit_for_tat", "always_defect", "0,1,1,1,1"), GAME)
    names = np.random.default_rng(0).normal(size=(7, 10)).astype(np.float32)
    learner = new_learner(fitting(), distinct_episodes(7))._replace(identities=jnp.asarray(names))
    indices, of_pool = jnp.array([0, 5, 4, 11, 2, 8, 4]), functools.partial(fresh, pool=pool)
    met = set()
    for seed in range(10):
        taken = ppi.take_batch(learner, indices, jax.random.key(seed), fresh=of_pool, fresh_count=5)
        joint, identity = (np.asarray(x) for x in taken)
        np.testing.assert_array_equal(identity[:, [1, 3, 5]].T, names[[0, 6, 3]])
        for b in (0, 2, 4, 6):
            cooperate = np.exp(identity[:, b].reshape(5, 2))[:, 0].round(3)
            seen = np.concatenate([[0], 1 + joint[:-1, b] % 2 * 2 + joint[:-1, b] // 2])
            np.testing.assert_array_equal(joint[:, b] % 2, 1 - cooperate[seen])
            met.add(tuple(cooperate))
    assert met == {(1, 1, 0, 1, 0), (0, 0, 0, 0, 0), (0, 1, 1, 1, 1)}


class Recorder(eqx.Module):
    """A model whose losses tell which episodes it was shown: 3^index, summed over the batch."""

    weight: jax.Array
    game = GAME
    identity_size = 0
    gives_expected_rewards = False

    def episode_loss(self, joint, reward, identity=None):
        index = sum(joint[t] * 4**t for t in range(joint.shape[0]))
        shown = (3.0**index).sum() + 0 * self.weight.sum()
        return EpisodeLoss(shown, (reward == PAYOFFS[joint]).mean(), jnp.asarray(joint.shape[1], jnp.float32))

    def initial_state(self, batch):
        raise NotImplementedError

    see = action_logits = imagine = reply_logs = expected_reward = initial_state


def shown_to(available, start, stop, batch=4, capacity=12, seed=2):
    """Sum of 3^index over the episodes of some updates."""
    how = fitting(fit_batch=batch)
    learner = new_learner(how, distinct_episodes(capacity), Recorder(jnp.zeros((2,))))
    _, losses = run(learner, how, available=available, start=start, stop=stop, total=100, seed=seed)
    assert float(losses.action) == 1.0  # the rewards are those of the joint actions
    assert float(losses.reward) == batch
    return round(float(losses.observation) * (stop - start))


@pytest.mark.parametrize("available", [8, 12])
def test_an_epoch_of_fit_shows_every_available_episode_once(available):
    """As many powers of 3 as there are digits add up to 11..1 in base 3 only if each occurs once."""
    per_epoch = available // 4
    for epoch in range(3):
        assert shown_to(available, epoch * per_epoch, (epoch + 1) * per_epoch) == (3**available - 1) // 2


def test_epochs_and_phases_have_orders_of_their_own():
    first_batches = {shown_to(12, 3 * epoch, 3 * epoch + 1, seed=seed) for epoch in range(3) for seed in range(3)}
    assert len(first_batches) >= 8  # of 495 possible ones


def test_a_batch_larger_than_the_data_repeats_episodes():
    """3 episodes, batch 4: one of them is shown twice."""
    assert shown_to(3, 0, 1) in {13 + 1, 13 + 3, 13 + 9}


# --- fitting ---


def adamw_steps(model, how, batches, total, first=0):
    """The same fit in a plain loop over optax.adamw. Returns the model and the mean losses."""
    fitting, steps = how
    schedule = optax.cosine_decay_schedule(steps.learning_rate, total, alpha=steps.learning_rate_end)
    transform = optax.chain(
        optax.clip_by_global_norm(steps.max_gradient_norm),
        optax.adamw(schedule, b1=steps.beta1, b2=steps.beta2, weight_decay=steps.weight_decay),
    )
    state = transform.init(model)

    @jax.jit
    def step(model, state, joint):
        def loss(model):
            parts = model.episode_loss(joint, PAYOFFS[joint])
            weights = (fitting.observation_weight, fitting.action_weight, fitting.reward_weight)
            return sum(w * part for w, part in zip(weights, parts, strict=True)), parts

        gradient, parts = jax.grad(loss, has_aux=True)(model)
        updates, state = transform.update(gradient, state, model)
        return optax.apply_updates(model, updates), state, parts, optax.tree.norm(gradient)

    parts, norms = [], []
    for joint in batches:
        model, state, part, norm = step(model, state, jnp.asarray(joint))
        parts.append(part)
        norms.append(float(norm))
    return model, np.mean(parts, axis=0), norms


FIT = fitting(max_gradient_norm=0.3, observation_weight=1.5, action_weight=0.7, reward_weight=0.3)


@pytest.mark.parametrize("kind", ["round", "token"])
def test_fit_against_a_loop_of_adamw_over_the_whole_data(kind):
    """A batch is the whole data set, so its order does not matter; one update an epoch."""
    model = new_model(kind)
    episodes = np.random.default_rng(0).integers(4, size=(8, GAME.rounds))
    how, total = FIT._replace(fitting=replace(FIT.fitting, fit_batch=8)), 6
    learner = new_learner(how, episodes, model)
    losses = []
    for start in range(total):
        learner, loss = run(learner, how, available=8, start=start, stop=start + 1, total=total)
        losses.append(loss)
    expected, expected_losses, norms = adamw_steps(model, how, [episodes.T] * total, total)
    assert min(norms) < how.optimiser.max_gradient_norm < max(norms)  # some gradients are clipped
    assert_same(learner.model, expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(np.mean(losses, axis=0), expected_losses, rtol=1e-5)
    np.testing.assert_array_equal(learner.episodes, episodes)


def test_fit_of_several_updates_against_a_loop_of_adamw():
    """All episodes are the same one, so every batch is known."""
    episode = np.array([0, 1, 3, 2, 2, 1])
    how, total = FIT, 5
    learner = new_learner(how, np.tile(episode, (16, 1)))
    fitted, losses = run(learner, how, available=16, start=0, stop=3, total=total)
    batch = np.tile(episode[:, None], (1, 4))
    expected, expected_losses, _ = adamw_steps(learner.model, how, [batch] * 3, total)
    assert_same(fitted.model, expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)


@pytest.mark.parametrize("fresh_count", [0, 9])
def test_one_chunk_equals_two(fresh_count):
    """Bit for bit, across learner, optimiser and random batches."""
    learner = new_learner(FIT, np.random.default_rng(1).integers(4, size=(24 - fresh_count, GAME.rounds)))
    where = {"available": 24, "total": 12, "fresh_count": fresh_count}
    whole, losses = run(learner, FIT, start=6, stop=12, **where)
    half, first = run(learner, FIT, start=6, stop=8, **where)
    half, second = run(half, FIT, start=8, stop=12, **where)
    assert_same(half.model, whole.model)
    assert_same(half.optimiser, whole.optimiser)
    np.testing.assert_allclose((2 * np.array(first) + 4 * np.array(second)) / 6, losses, rtol=1e-5)
    assert any(np.any(a != b) for a, b in zip(*map(jax.tree.leaves, (whole.model, learner.model)), strict=True))


def test_different_keys_fit_on_different_batches():
    learner = new_learner(FIT, np.random.default_rng(1).integers(4, size=(24, GAME.rounds)))
    where = {"available": 24, "start": 0, "stop": 2, "total": 6}
    one, two = (run(learner, FIT, seed=seed, **where)[0].model for seed in (2, 3))
    assert np.abs(one.head_weights - two.head_weights).max() > 1e-3


def test_fitting_learns_a_predictable_co_player():
    """Tit-for-tat against alternating play: the loss on its replies falls far below a coin's ln 2."""
    own = np.arange(GAME.rounds) % 2
    other = np.concatenate([[0], own[:-1]])
    how = fitting(fit_batch=4, learning_rate=0.05, weight_decay=0.0)
    learner = new_learner(how, np.tile(own * 2 + other, (800, 1)))
    _, losses = run(learner, how, available=800, start=0, stop=1, total=200)
    learner, _ = run(learner, how, available=800, start=0, stop=200, total=200)
    _, after = run(learner, how, available=800, start=199, stop=200, total=200)
    assert float(losses.observation) > 0.4
    assert float(after.observation) < 0.05
    assert float(after.action) < 0.05
    assert float(after.reward) < 0.05
