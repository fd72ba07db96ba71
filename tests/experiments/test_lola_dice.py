"""LOLA-DiCE agents as a method of coala-ipd: what an iteration does to them, their run folder, their memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.experiments import coala_ipd, registry
from coplayer.experiments.axes import LEARNERS
from coplayer.experiments.coala_ipd import CoalaIPD, check
from coplayer.experiments.mixed_pool import Trainee
from coplayer.games.matrix import prisoners_dilemma
from coplayer.learning import optimisation
from coplayer.play.trajectory import JointActions
from coplayer.pools import lookahead
from coplayer.settings import adjust
from oracles import ActorCriticOracle, with_random_weights
from stopping import StopAfter, assert_same

pytestmark = pytest.mark.usefixtures("compiled_once")

TINY_LOLA = adjust(
    CoalaIPD(),
    game=prisoners_dilemma(3),
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
    begun = player.begin(jax.random.key(0), 2)
    state, _, _ = player.act(begun, jnp.asarray([1, 4]), jnp.zeros(2))
    episode = JointActions(jnp.zeros((3, 2), jnp.int32), TINY_LOLA.game).view(0)
    fresh = player.learn(state, episode, None, jax.random.key(1))
    assert np.array_equal(fresh.state, begun.state) and not np.array_equal(state.state, begun.state)

    networks = with_random_weights(lambda: one_each(2), seed=1)
    played = over_agents(lambda own: coala_ipd.play(TINY_LOLA, population(), own, jax.random.key(2)), networks)
    own, other, values = (
        np.asarray(leaf).reshape(2, 2, 3, -1)  # [agent, inner episode, round, game]
        for leaf in (played.own.actions, played.others.actions, played.values)
    )
    for agent in range(2):
        oracle = ActorCriticOracle(jax.tree.map(lambda leaf, agent=agent: leaf[agent], networks))
        for game in range(own.shape[3]):
            state = oracle.start()
            for t in range(3):
                assert values[agent, 1, t, game] == pytest.approx(oracle.value(state), abs=1e-5)
                state = oracle.after(state, own[agent, 1, t, game], other[agent, 1, t, game])


def one_each(count):
    keys = jax.random.split(jax.random.key(0), count)
    return jax.vmap(lambda key: coala_ipd.new_network(TINY_LOLA, key))(keys)


def population():
    return coala_ipd.naive_population(TINY_LOLA, jax.random.key(1))


def over_agents(function, networks):
    return jax.jit(jax.vmap(function, axis_name=LEARNERS))(networks)


def test_co_players_are_naive_ones_as_they_begin_and_the_others_as_they_are():
    networks = with_random_weights(lambda: one_each(3), seed=2)
    keys = jax.random.split(jax.random.key(3), 3)
    met = jax.vmap(lambda own, key: coala_ipd.co_players(TINY_LOLA, population(), own, key), axis_name=LEARNERS)(
        networks, keys
    )
    beginners = np.asarray(population().core.hidden_weights)
    now, met = np.asarray(networks.core.hidden_weights), np.asarray(met.core.hidden_weights)
    for agent in range(3):
        others = np.delete(now, agent, axis=0)
        for replica in range(4):
            known = beginners if replica < 2 else others
            assert any(np.array_equal(met[agent, replica], one) for one in known)


def test_values_are_fitted_to_the_rest_of_the_inner_episode():
    """Loss and entropy against numpy, round by round; the gradient is that of both, by a difference."""
    own = with_random_weights(lambda: coala_ipd.new_network(TINY_LOLA, jax.random.key(0)), seed=4)
    everyone = jax.tree.map(lambda leaf: leaf[None].repeat(2, 0), own)
    played = over_agents(lambda own: coala_ipd.play(TINY_LOLA, population(), own, jax.random.key(2)), everyone)
    played = jax.tree.map(lambda leaf: leaf[0], played)
    joint = np.asarray(2 * played.own.actions + played.others.actions).reshape(2, 3, -1)

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

    slope, measured = jax.jit(
        lambda: coala_ipd.fit_gradient(TINY_LOLA, own, played, jnp.asarray(0.3), TINY_LOLA.loss.td_lambda)
    )()
    assert (measured["loss_value"], measured["entropy"]) == pytest.approx(losses(own), rel=1e-4)
    rng = np.random.default_rng(5)
    direction = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), own)
    ends = [jax.tree.map(lambda x, d, s=s: np.float64(x) + s * d, own, direction) for s in (1e-4, -1e-4)]
    totals = [0.5 * error - 0.3 * entropy for error, entropy in map(losses, ends)]
    found = sum(np.vdot(x, d) for x, d in zip(jax.tree.leaves(slope), jax.tree.leaves(direction), strict=True))
    assert found == pytest.approx((totals[0] - totals[1]) / 2e-4, rel=1e-3)


def test_the_update_climbs_the_lookahead():
    """Without the value's part, Adam's first step has the sign of the look-ahead's gradient, known from more games."""
    settings = adjust(TINY_LOLA, naive_share=1.0, value_coefficient=0.0, batch=512, meta_agents=1)

    @jax.jit
    def both():
        own = with_random_weights(lambda: coala_ipd.new_network(settings, jax.random.key(7)), seed=6)
        seat = Trainee(optimisation.new_state(own, settings.optimiser), jax.random.key(7), population())
        one = jax.tree.map(lambda leaf: leaf[None], seat)
        after, _ = jax.vmap(lambda seat: coala_ipd.iterate(settings, seat, jnp.asarray(0)), axis_name=LEARNERS)(one)
        ahead = lookahead.gradient(
            settings.game,
            own,
            population(),
            jax.random.key(9),
            batch=2048,
            lookahead=settings.lookahead,
            gamma=settings.loss.gamma,
            learner_gamma=settings.naive.naive_gamma,
            reward_scale=settings.loss.reward_scale,
        )
        return jax.tree.map(lambda new, old: new[0] - old, after.learner.network, own), ahead

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
        ({"lookahead_share": 1.5}, "lookahead_share: must be a finite number of at least 0 and at most 1, got 1.5"),
    ],
)
def test_bad_settings_are_refused_with_one_line(change, message):
    with pytest.raises(CoplayerError, match=message) as caught:
        check(adjust(TINY_LOLA, **change))
    assert "\n" not in str(caught.value)
