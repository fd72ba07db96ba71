"""The recurrent player: it plays its network's policy, remembers what it should, and knows whom it meets if told."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.analysis.evaluation import Informed, matches_against_fixed
from coplayer.analysis.exact import mean_rewards
from coplayer.errors import CoplayerError
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.networks.actor_critic import ActorCritic
from coplayer.play.player import Player
from coplayer.play.rollout import play_match
from coplayer.play.trajectory import Episode
from coplayer.players.memory1 import Memory1, cooperation, named_strategy
from coplayer.players.recurrent import RecurrentPlayer
from oracles import ActorCriticOracle, gru_step, gru_weights, softmax, swish, with_random_weights
from state_games import Commons

GAME = prisoners_dilemma(6)


def player(identity_size=0, seed=0):
    return RecurrentPlayer(
        with_random_weights(lambda: ActorCritic(GAME, 3, identity_size=identity_size, key=jax.random.key(0)), seed)
    )


def policy_of(notes):
    """The policy of a round, `[actions, batch]`, from the trace that a player notes."""
    return jax.nn.softmax(notes.outputs[:-1], axis=0)


def begun(one, batch):
    return one.begin(jax.random.key(0), batch)


@pytest.mark.parametrize("identity_size", [0, 10])
def test_policy_after_any_history_against_numpy(identity_size):
    one, oracle = player(identity_size), ActorCriticOracle(player(identity_size).network)
    joint = np.random.default_rng(0).integers(4, size=(5, 3))
    state, observation, expected = begun(one, 3), jnp.zeros(3, jnp.int32), [oracle.start() for _ in range(3)]
    for t in range(6):
        state, _, notes = one.act(state, observation, jax.random.key(t))
        np.testing.assert_allclose(policy_of(notes).T, [oracle.policy(s) for s in expected], atol=1e-5)
        if t < 5:
            observation = jnp.asarray(1 + joint[t])
            expected = [oracle.after(s, *divmod(int(j), 2)) for s, j in zip(expected, joint[t], strict=True)]


def test_actions_are_drawn_from_the_policy():
    one, count = player(), 20_000
    _, actions, _ = one.act(begun(one, count), jnp.zeros(count, jnp.int32), jax.random.key(1))
    cooperates = float((actions == 0).mean())
    chance = ActorCriticOracle(one.network).policy(ActorCriticOracle(one.network).start())[0]
    assert 0.05 < chance < 0.95
    assert cooperates == pytest.approx(chance, abs=4 * np.sqrt(chance * (1 - chance) / count))


def test_a_key_and_the_uniform_numbers_that_it_draws_give_the_same_actions():
    one, key = player(), jax.random.key(5)
    start = jnp.zeros(50, jnp.int32)
    _, drawn, _ = one.act(begun(one, 50), start, key)
    _, given, _ = one.act(begun(one, 50), start, jax.random.uniform(key, (50,)))
    np.testing.assert_array_equal(drawn, given)
    assert one.takes_uniforms and 0 < drawn.mean() < 1


def test_the_told_player_begins_with_the_log_probabilities_of_its_co_players():
    one, tables = player(10), np.random.default_rng(2).uniform(0.1, 0.9, size=(3, 5))
    told = one.told(cooperation(tables).probabilities)
    oracle = ActorCriticOracle(one.network)
    expected = []
    for table in tables:
        names = np.log(np.stack([table, 1 - table], axis=1)).reshape(-1)  # log pi(C | o), log pi(D | o), o by o
        expected.append(oracle.policy(oracle.start(names)))

    def first(player):
        return player.act(begun(player, 3), jnp.zeros(3, jnp.int32), jax.random.key(0))[2].outputs[:-1]  # logits

    np.testing.assert_allclose(jax.nn.softmax(first(told), axis=0).T, expected, atol=1e-5)
    assert np.abs(first(told) - first(one)).max() > 0.1
    certain = one.told(cooperation(np.eye(5)[:3]).probabilities)
    assert np.isfinite(first(certain)).all()  # a probability of 0 has no logarithm


def test_a_network_without_a_context_cannot_be_told():
    one = player()
    assert one.told(cooperation(np.ones((4, 5))).probabilities) is one


def test_it_sits_at_the_table():
    joint = play_match((player(10), player()), GAME, jax.random.key(0), episodes=7).joint
    assert joint.shape == (6, 7) and isinstance(player(), Player) and isinstance(player(), Informed)


class Mirror(Player):
    """Does what its co-player does first, once it is told; cannot play before."""

    def begin(self, key, batch):
        raise AssertionError("was not told")

    def act(self, state, observation, key): ...

    def told(self, probabilities):
        return Memory1(jnp.repeat(probabilities[:, :1], 5, axis=1))


def test_evaluation_tells_whom_it_meets():
    matches = matches_against_fixed(Mirror(), GAME, jax.random.key(0), episodes=3)
    assert (matches["always_defect"].joint == 3).all() and (matches["always_cooperate"].joint == 0).all()


def decided(seed, lasting, identity_size=0):
    """One whose policy is deterministic."""
    network = player(identity_size, seed).network
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
        joint = play_match((one, other), GAME, jax.random.key(0), episodes=2, inner_episodes=3).joint
        expected = episodes_by_hand(one, other, 3)
        np.testing.assert_array_equal(joint, np.stack([expected, expected], axis=1))
        courses.append(expected)
    remembering, forgetting = courses
    assert remembering[:6] == forgetting[:6] and remembering != forgetting
    assert forgetting == forgetting[:6] * 3


def test_a_told_player_still_knows_its_co_players_in_later_episodes_and_stays_lasting():
    tables = cooperation(np.random.default_rng(2).uniform(0.1, 0.9, size=(3, 5))).probabilities
    forgetful, lasting = (decided(3, lasting, 10).told(tables) for lasting in (False, True))
    key, start = jax.random.key(0), jnp.zeros(3, jnp.int32)
    episode = Episode(start[None], jnp.zeros((1, 3), jnp.int32), jnp.zeros((1, 3)), {}, jnp.array([1, 2, 3]))

    def after_an_episode(player):
        """(state before the next one, logits at its beginning, logits at the beginning of the first)"""
        state, _, first = player.act(player.begin(key, 3), start, key)
        before = player.learn(state, episode, first, key)
        return before, player.act(before, start, key)[2].outputs[:-1], first.outputs[:-1]

    _, again, first = after_an_episode(forgetful)
    np.testing.assert_array_equal(again, first)
    assert lasting.lasting
    on, _, _ = after_an_episode(lasting)
    oracle = ActorCriticOracle(lasting.network)
    for i in range(3):
        names = np.log(np.asarray(tables[i], dtype=float)).reshape(-1)
        begun_once = oracle.start(names)  # of an inner episode of one round, whose outcome is not observed
        np.testing.assert_allclose(on.state[i], begun_once, atol=1e-5)
        state = oracle.see(begun_once, 0, np.zeros(10))  # and no name comes with the next one's START
        _, _, now = lasting.act(on, start, key)
        np.testing.assert_allclose(now.state[i], state, atol=1e-5)


@pytest.mark.parametrize("lasting", [False, True])
def test_what_is_remembered_over_inner_episodes_in_any_game(lasting):
    """Three decided players in a game of vectors, against numpy on what they saw."""
    game, players = Commons(rounds=4), []
    for seed in range(3):
        network = with_random_weights(lambda: ActorCritic(game, 3, key=jax.random.key(0)), seed)
        network = eqx.tree_at(lambda n: n.head_weights, network, network.head_weights * 1e6)
        players.append(RecurrentPlayer(network, lasting=lasting))
    trajectory = play_match(players, game, jax.random.key(0), episodes=2, inner_episodes=3)
    forgotten = []
    for k, one in enumerate(players):
        view, gru = trajectory.view(k), gru_weights(one.network.core)
        heads, bias = (np.asarray(x, float) for x in (one.network.head_weights, one.network.head_bias))
        for b in range(2):
            hidden, anew = np.zeros(3), np.zeros(3)
            for t, seen in enumerate(np.asarray(view.observations, float)[:, b]):
                anew = gru_step(gru, anew if t % game.rounds else np.zeros(3), seen)
                hidden = gru_step(gru, hidden, seen) if lasting else anew
                chances = softmax((heads @ swish(hidden) + bias)[:-1])
                assert chances.max() > 1 - 1e-6
                assert int(view.actions[t, b]) == int(chances.argmax())
            forgotten.append(np.abs(hidden - anew).max())
    assert max(forgotten) > 1e-2 if lasting else max(forgotten) == 0


def test_a_game_of_another_number_of_actions_or_observations_is_refused():
    three, other = MatrixGame(np.eye(3), rounds=2), Memory1(np.full((10, 3), 1 / 3))
    mine = RecurrentPlayer(ActorCritic(prisoners_dilemma(2), 4, key=jax.random.key(0)))
    for player, what in ((mine, "network"), (named_strategy("tit_for_tat"), "table")):
        for number, pair in ((1, (player, other)), (2, (other, player))):
            message = f"^player {number}: its {what} is made for 2 actions, this game has 3"
            with pytest.raises(CoplayerError, match=message):
                play_match(pair, three, jax.random.key(1))
    with pytest.raises(CoplayerError, match=r"^player: its network is made for observations of Symbol\(size=5\)"):
        mine.check(Commons())
    with pytest.raises(CoplayerError, match=r"^player 1: its table is made for 2 actions, this game has 3$"):
        mean_rewards(named_strategy("tit_for_tat"), named_strategy("random"), three)
