"""The actor as a player: it plays its network's policy, and knows its co-player only if told."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.analysis.evaluation import matches_against_fixed
from coplayer.games.matrix import prisoners_dilemma
from coplayer.networks.actor_critic import ActorCritic
from coplayer.players.match import InformedPlayer, Player, play_match
from coplayer.players.memory1 import Memory1, cooperation
from coplayer.players.recurrent import RecurrentPlayer
from oracles import ActorCriticOracle, with_random_weights

GAME = prisoners_dilemma(6)


def player(context=0, seed=0):
    return RecurrentPlayer(
        with_random_weights(lambda: ActorCritic(GAME, 3, context=context, key=jax.random.key(0)), seed)
    )


@pytest.mark.parametrize("context", [0, 10])
def test_policy_after_any_history_against_numpy(context):
    one, oracle = player(context), ActorCriticOracle(player(context).network)
    joint = np.random.default_rng(0).integers(4, size=(5, 3))
    state, expected = one.initial_state(3), [oracle.start() for _ in range(3)]
    for t in range(6):
        policy = jax.nn.softmax(state.logits, axis=0)
        np.testing.assert_allclose(policy.T, [oracle.policy(s) for s in expected], atol=1e-5)
        if t < 5:
            state = one.update(state, jnp.asarray(joint[t]), jnp.zeros(3))
            expected = [oracle.after(s, *divmod(int(j), 2)) for s, j in zip(expected, joint[t], strict=True)]


def test_actions_are_drawn_from_the_policy():
    one, count = player(), 20_000
    state = one.initial_state(count)
    cooperates = float((one.act(state, jax.random.key(1)) == 0).mean())
    chance = ActorCriticOracle(one.network).policy(ActorCriticOracle(one.network).start())[0]
    assert 0.05 < chance < 0.95
    assert cooperates == pytest.approx(chance, abs=4 * np.sqrt(chance * (1 - chance) / count))


def test_the_told_player_begins_with_the_log_probabilities_of_its_co_players():
    one, tables = player(10), np.random.default_rng(2).uniform(0.1, 0.9, size=(3, 5))
    told = one.told(cooperation(tables).probabilities)
    oracle = ActorCriticOracle(one.network)
    expected = []
    for table in tables:
        names = np.log(np.stack([table, 1 - table], axis=1)).reshape(-1)  # log pi(C | o), log pi(D | o), o by o
        expected.append(oracle.policy(oracle.start(names)))
    start = told.initial_state(3)
    np.testing.assert_allclose(jax.nn.softmax(start.logits, axis=0).T, expected, atol=1e-5)
    assert np.abs(start.logits - one.initial_state(3).logits).max() > 0.1
    certain = one.told(cooperation(np.eye(5)[:3]).probabilities).initial_state(3)
    assert np.isfinite(certain.logits).all()  # a probability of 0 has no logarithm


def test_a_network_without_a_context_cannot_be_told():
    one = player()
    assert one.told(cooperation(np.ones((4, 5))).probabilities) is one


def test_it_sits_at_the_table():
    joint = play_match(player(10), player(), GAME, jax.random.key(0), episodes=7)
    assert joint.shape == (6, 7) and isinstance(player(), Player) and isinstance(player(), InformedPlayer)


class Mirror(eqx.Module):
    """Does what its co-player does first, once it is told; cannot play before."""

    def initial_state(self, batch):
        raise AssertionError("was not told")

    def act(self, state, key): ...

    def update(self, state, joint, reward): ...

    def told(self, probabilities):
        return Memory1(jnp.repeat(probabilities[:, :1], 5, axis=1))


def test_evaluation_tells_whom_it_meets():
    matches = matches_against_fixed(Mirror(), GAME, jax.random.key(0), episodes=3)
    assert (matches["always_defect"] == 3).all() and (matches["always_cooperate"] == 0).all()
