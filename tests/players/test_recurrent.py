"""The actor as a player: it plays its network's policy, and knows its co-player only if told."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.analysis.evaluation import matches_against_fixed
from coplayer.analysis.exact import mean_rewards
from coplayer.errors import CoplayerError
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.networks.actor_critic import ActorCritic
from coplayer.players.match import InformedPlayer, LastingPlayer, Player, play_match
from coplayer.players.memory1 import Memory1, cooperation, named_strategy
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


def decided(seed, lasting, context=0):
    """One whose policy is deterministic."""
    network = player(context, seed).network
    return RecurrentPlayer(eqx.tree_at(lambda n: n.head_weights, network, network.head_weights * 1e4), lasting=lasting)


def episodes_by_hand(one, other, episodes):
    """Joint actions `[episodes * rounds]` of two decided players, in the view of `one`."""
    oracles, states, joint = [ActorCriticOracle(p.network) for p in (one, other)], [np.zeros(3), np.zeros(3)], []
    for _ in range(episodes):
        if not one.lasting:
            states[0] = np.zeros(3)
        if not other.lasting:
            states[1] = np.zeros(3)
        seen = [0, 0]
        for _ in range(GAME.rounds):
            states = [o.see(s, at, np.zeros(0)) for o, s, at in zip(oracles, states, seen, strict=True)]
            a, b = (int(np.argmax(o.policy(s))) for o, s in zip(oracles, states, strict=True))
            joint.append(2 * a + b)
            seen = [1 + 2 * a + b, 1 + 2 * b + a]
    return joint


def test_a_lasting_player_remembers_all_inner_episodes_and_another_begins_anew():
    """Both kinds at one table, deterministic, against numpy: as in training, what an inner episode's last round came to
    is not observed.
    """
    courses = []
    for lasting in (True, False):
        one, other = decided(12, lasting), decided(8, False)
        joint = play_match(one, other, GAME, jax.random.key(0), episodes=2, inner_episodes=3)
        expected = episodes_by_hand(one, other, 3)
        np.testing.assert_array_equal(joint, np.stack([expected, expected], axis=1))
        courses.append(expected)
        assert isinstance(one, LastingPlayer)
    remembering, forgetting = courses
    assert remembering[:6] == forgetting[:6] and remembering != forgetting
    assert forgetting == forgetting[:6] * 3


def test_inner_episodes_in_a_row_are_episodes_for_those_who_forget():
    """A memory-1 player has no fourth method: it begins anew."""
    joint = play_match(named_strategy("tit_for_tat"), named_strategy("always_defect"), GAME, jax.random.key(0))
    assert joint[:, 0].tolist() == [1, 3, 3, 3, 3, 3]
    row = play_match(
        named_strategy("tit_for_tat"), named_strategy("always_defect"), GAME, jax.random.key(0), inner_episodes=3
    )
    assert row[:, 0].tolist() == [1, 3, 3, 3, 3, 3] * 3


def test_inner_episodes_have_draws_of_their_own():
    even = named_strategy("random")
    joint = play_match(even, even, GAME, jax.random.key(0), episodes=500, inner_episodes=3).reshape(3, 6, 500)
    assert all(np.mean(np.asarray(joint[0] == joint[m])) == pytest.approx(0.25, abs=0.05) for m in (1, 2))


def test_a_told_player_still_knows_its_co_players_in_later_episodes_and_stays_lasting():
    tables = cooperation(np.random.default_rng(2).uniform(0.1, 0.9, size=(3, 5))).probabilities
    forgetful, lasting = (decided(3, lasting, 10).told(tables) for lasting in (False, True))
    start = forgetful.initial_state(3)
    later = forgetful.update(start, jnp.array([0, 1, 2]), jnp.zeros(3))
    again = forgetful.next_episode(later)
    np.testing.assert_array_equal(again.logits, start.logits)
    assert lasting.lasting
    on = lasting.next_episode(lasting.update(lasting.initial_state(3), jnp.array([0, 1, 2]), jnp.zeros(3)))
    oracle = ActorCriticOracle(lasting.network)
    for i in range(3):
        names = np.log(np.asarray(tables[i], dtype=float)).reshape(-1)
        state = oracle.see(oracle.start(names), 0, np.zeros(10))  # of an inner episode of one round
        np.testing.assert_allclose(on.state[:, i], state, atol=1e-5)


def test_a_game_of_another_number_of_actions_is_refused():
    three = MatrixGame(np.eye(3), rounds=2)
    network = ActorCritic(prisoners_dilemma(2), 4, key=jax.random.key(0))
    for player in (RecurrentPlayer(network), named_strategy("tit_for_tat")):
        for pair in ((player, Memory1(np.full((10, 3), 1 / 3))), (Memory1(np.full((10, 3), 1 / 3)), player)):
            with pytest.raises(CoplayerError, match=r"player [12]: is made for 2 actions, this game has 3"):
                play_match(*pair, three, jax.random.key(1))
    with pytest.raises(CoplayerError, match="players: made for 2 actions, this game has 3"):
        mean_rewards(named_strategy("tit_for_tat"), named_strategy("random"), three)
