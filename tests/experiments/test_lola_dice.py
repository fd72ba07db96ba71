"""LOLA-DiCE agents as a method of coala-ipd: what an iteration does to them, their run folder, their memory."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.experiments import coala_ipd, registry
from coplayer.experiments.axes import LEARNERS
from coplayer.experiments.coala_ipd import CoalaIPD, check, make_setting
from coplayer.pools import lookahead
from oracles import ActorCriticOracle, with_random_weights
from stopping import StopAfter, assert_same

TINY_LOLA = CoalaIPD(
    rounds=3,
    inner_episodes=2,
    batch=2,
    replicas=4,
    naive_share=0.5,
    meta_agents=2,
    naive_population=2,
    methods=("lola_dice",),
    lookaheads=1,
    core="gru",
    hidden=3,
    iterations=4,
    phases=2,
    log_every=1,
    learning_rate=1e-2,
    checkpoint_seconds=0.001,
)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    return registry.train(TINY_LOLA, tmp_path_factory.mktemp("lola") / "run")


def test_a_row_for_every_interval_with_the_metrics_of_the_other_methods(unbroken):
    rows = unbroken.metrics()
    assert [(row["iteration"], row["learner"]) for row in rows] == [(i, k) for i in (1, 2, 3, 4) for k in (0, 1)]
    names = {f"{what}_{who}" for what in ("reward", "cooperation") for who in ("vs_learner", "vs_naive", "of_naive")}
    assert names | {"late_reward_vs_naive", "loss_value", "entropy", "gradient_norm"} <= set(rows[0])
    assert len({row["reward_vs_naive"] for row in rows}) > 1


def test_a_stopped_run_goes_on_to_the_same_numbers(unbroken, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        registry.train(TINY_LOLA, tmp_path / "run", reporter=StopAfter(3))
    folder = registry.resume(tmp_path / "run")
    assert_same(folder.path, unbroken.path)


def test_agents_and_players_forget_at_each_inner_episode(unbroken):
    player = registry.load(unbroken.path, seed=0)[0]
    state = player.update(player.initial_state(2), jnp.asarray([0, 3]), jnp.zeros(2))
    fresh, begun = player.next_episode(state), player.initial_state(2)
    assert np.array_equal(fresh.state, begun.state) and not np.array_equal(state.state, begun.state)

    setting = make_setting(TINY_LOLA)
    networks = with_random_weights(lambda: one_each(setting, 2), seed=1)
    played = over_agents(lambda own: coala_ipd.play(setting, population(setting), own, jax.random.key(2)), networks)
    joint = np.asarray(played.joint).reshape(2, 2, 3, -1)  # [agent, inner episode, round, game]
    values = np.asarray(played.values).reshape(joint.shape)
    for agent in range(2):
        oracle = ActorCriticOracle(jax.tree.map(lambda leaf, agent=agent: leaf[agent], networks))
        for game in range(joint.shape[3]):
            state = oracle.start()
            for t, j in enumerate(joint[agent, 1, :, game]):
                assert values[agent, 1, t, game] == pytest.approx(oracle.value(state), abs=1e-5)
                state = oracle.after(state, *divmod(int(j), 2))


def one_each(setting, count):
    return jax.vmap(lambda key: coala_ipd.new_network(setting, key))(jax.random.split(jax.random.key(0), count))


def population(setting):
    return coala_ipd.naive_population(setting, jax.random.key(1))


def over_agents(function, networks):
    return jax.jit(jax.vmap(function, axis_name=LEARNERS))(networks)


def test_co_players_are_naive_ones_as_they_begin_and_the_others_as_they_are():
    setting = make_setting(TINY_LOLA)
    networks = with_random_weights(lambda: one_each(setting, 3), seed=2)
    keys = jax.random.split(jax.random.key(3), 3)
    met = jax.vmap(lambda own, key: coala_ipd.co_players(setting, population(setting), own, key), axis_name=LEARNERS)(
        networks, keys
    )
    beginners = np.asarray(population(setting).gru.hidden_weights)
    now, met = np.asarray(networks.gru.hidden_weights), np.asarray(met.gru.hidden_weights)
    for agent in range(3):
        others = np.delete(now, agent, axis=0)
        for replica in range(4):
            known = beginners if replica < 2 else others
            assert any(np.array_equal(met[agent, replica], one) for one in known)


def test_values_are_fitted_to_the_rest_of_the_inner_episode():
    """Loss and entropy against numpy, round by round; the gradient is that of both, by a difference."""
    setting = make_setting(TINY_LOLA)
    own = with_random_weights(lambda: coala_ipd.new_network(setting, jax.random.key(0)), seed=4)
    everyone = jax.tree.map(lambda leaf: leaf[None].repeat(2, 0), own)
    played = over_agents(lambda own: coala_ipd.play(setting, population(setting), own, jax.random.key(2)), everyone)
    played = jax.tree.map(lambda leaf: leaf[0], played)
    joint = np.asarray(played.joint).reshape(2, 3, -1)

    def losses(network):
        oracle, errors, entropies = ActorCriticOracle(network), [], []
        for episode in joint:
            for rounds in episode.T:
                state = oracle.start()
                for t, j in enumerate(rounds):
                    target = 0.05 * sum((1.0, -1.0, 2.0, 0.0)[k] for k in rounds[t:])
                    policy = oracle.policy(state)
                    errors.append((oracle.value(state) - target) ** 2)
                    entropies.append(-(policy * np.log(policy)).sum())
                    state = oracle.after(state, *divmod(int(j), 2))
        return np.mean(errors), np.mean(entropies)

    slope, measured = jax.jit(lambda: coala_ipd.fit_gradient(setting, own, played, jnp.asarray(0.3)))()
    assert (measured["loss_value"], measured["entropy"]) == pytest.approx(losses(own), rel=1e-4)
    rng = np.random.default_rng(5)
    direction = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), own)
    ends = [jax.tree.map(lambda x, d, s=s: np.float64(x) + s * d, own, direction) for s in (1e-4, -1e-4)]
    totals = [0.5 * error - 0.3 * entropy for error, entropy in map(losses, ends)]
    found = sum(np.vdot(x, d) for x, d in zip(jax.tree.leaves(slope), jax.tree.leaves(direction), strict=True))
    assert found == pytest.approx((totals[0] - totals[1]) / 2e-4, rel=1e-3)


def test_the_update_climbs_the_lookahead():
    """Without the value's part, Adam's first step has the sign of the look-ahead's gradient, known from more games."""
    config = dataclasses.replace(TINY_LOLA, naive_share=1.0, value_coefficient=0.0, batch=512, meta_agents=1)
    setting = make_setting(config)

    @jax.jit
    def both():
        learner = coala_ipd.new_learner(setting, jax.random.key(7))
        own = with_random_weights(lambda: learner.network, seed=6)
        learner = learner._replace(network=own)
        after, _ = jax.vmap(
            lambda learner: coala_ipd.iterate(setting, learner, population(setting), jnp.asarray(0)),
            axis_name=LEARNERS,
        )(jax.tree.map(lambda leaf: leaf[None], learner))
        ahead = lookahead.gradient(own, population(setting), jax.random.key(9), batch=2048, lookahead=setting.lookahead)
        return jax.tree.map(lambda new, old: new[0] - old, after.network, own), ahead

    moved, ahead = both()
    moved, ahead = (np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]) for tree in (moved, ahead))
    large = np.abs(ahead) > 0.3 * np.abs(ahead).max()
    assert large.sum() >= 3
    np.testing.assert_array_equal(np.sign(moved[large]), np.sign(ahead[large]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"methods": ("lola_dice", "coala")}, "methods: lola_dice cannot be mixed with others, got lola_dice, coala"),
        ({"methods": ("lola",)}, "methods: must be of coala, m_fos, batch_unaware, lola_dice, got lola"),
        ({"lookaheads": 0}, "lookaheads: must be a finite number above 0"),
        ({"lookahead_rate": -1.0}, "lookahead_rate: must be a finite number of at least 0"),
        ({"lookahead_share": 1.5}, "lookahead_share: must be at most 1, got 1.5"),
    ],
)
def test_bad_settings_are_refused_with_one_line(change, message):
    with pytest.raises(CoplayerError, match=message) as caught:
        check(dataclasses.replace(TINY_LOLA, **change))
    assert "\n" not in str(caught.value)
