"""Any kind of player meets any other, in matches and in the shaping game, and plays what its own rule says there."""

import equinox as eqx
import jax
import numpy as np
import pytest

from coplayer.games.matrix import START, prisoners_dilemma
from coplayer.learning import a2c
from coplayer.learning.a2c import A2CSettings
from coplayer.learning.optimisation import OptimiserSettings
from coplayer.networks.actor_critic import ActorCritic
from coplayer.networks.world_model import RoundModel
from coplayer.play.rollout import play_match
from coplayer.players.memory1 import named_strategy
from coplayer.players.naive import NaiveLearner
from coplayer.players.planner import PlannerSettings, PPIPlayer
from coplayer.players.recurrent import RecurrentPlayer
from coplayer.pools import shaping
from oracles import ActorCriticOracle, RoundOracle, with_random_weights

ROUNDS, EPISODES, BATCH, REPLICAS = 3, 2, 2, 2
GAME = prisoners_dilemma(ROUNDS)
PAYOFFS, SWAPPED = np.array([1.0, -1.0, 2.0, 0.0]), np.array([0, 2, 1, 3])
DECIDED = 1e4  # a policy of such logits is deterministic


def network(seed):
    plain = with_random_weights(lambda: ActorCritic(GAME, 3, key=jax.random.key(0)), seed)
    return eqx.tree_at(lambda n: n.head_weights, plain, plain.head_weights * DECIDED)


def world_model(seed):
    """One whose prior is decided."""
    plain = with_random_weights(lambda: RoundModel(GAME, 3, key=jax.random.key(0)), seed)
    return eqx.tree_at(lambda m: m.head_weights, plain, plain.head_weights.at[:2].multiply(DECIDED))


PLANS = PlannerSettings(rollouts=2, horizon=2, temperature=1e9)  # so hot that the improved policy is the prior
UPDATING = a2c.Updating(A2CSettings(gamma=0.9), OptimiserSettings(learning_rate=0.3), iterations=1)
PLAYERS = {
    "planner": PPIPlayer(world_model(18), PLANS),
    "row": named_strategy("win_stay_lose_shift"),
    "recurrent": RecurrentPlayer(network(26)),
    "coala": RecurrentPlayer(network(9), lasting=True),
    "naive": NaiveLearner(network(30), UPDATING),
}


class ByHand:
    """What a player does at one table, whatever it sees there."""

    def __init__(self, kind):
        player = PLAYERS[kind]
        self.kind, self.state = kind, None
        if kind == "planner":
            self.oracle, self.policy = RoundOracle(player.model), "prior"
        elif kind != "row":
            self.oracle, self.policy = ActorCriticOracle(player.network), "policy"

    def act(self, seen):
        if self.kind == "row":
            return int(seen in (2, 3))  # win-stay lose-shift defects after CD and DC
        if seen == START and (self.state is None or self.kind != "coala"):
            self.state = np.zeros(3)
        identity = () if self.kind == "planner" else (np.zeros(0),)
        self.state = self.oracle.see(self.state, seen, *identity)
        return int(np.argmax(getattr(self.oracle, self.policy)(self.state)))


def assert_plays(kind, view):
    """Every action at every table `[time, table]`; a naive learner's before it learned."""
    known = ROUNDS if kind == "naive" else EPISODES * ROUNDS
    observations, actions = np.asarray(view.observations), np.asarray(view.actions)
    for table in range(actions.shape[1]):
        by_hand = ByHand(kind)
        assert [by_hand.act(int(seen)) for seen in observations[:known, table]] == actions[:known, table].tolist()
    assert set(np.unique(actions)) <= {0, 1}


def assert_one_game(own, other):
    """Two views of the same rounds, `[time, table]`."""
    joint = 2 * np.asarray(own.actions) + np.asarray(other.actions)
    for view, rounds in ((own, joint), (other, SWAPPED[joint])):
        np.testing.assert_array_equal(view.rewards, PAYOFFS[rounds])
        for t in range(EPISODES * ROUNDS):
            np.testing.assert_array_equal(view.observations[t], START if t % ROUNDS == 0 else 1 + rounds[t - 1])


def in_a_row(view):
    """[time, replica, game] as [time, table]."""
    within = jax.tree.map(lambda leaf: leaf.reshape(leaf.shape[0], -1), view._replace(beyond=None))
    return within._replace(beyond=view.beyond.reshape(-1))


@pytest.mark.parametrize("other", PLAYERS)
@pytest.mark.parametrize("own", PLAYERS)
def test_any_two_kinds_of_players_meet(own, other):
    """In a match of inner episodes, and in the shaping game as agent and as co-player."""
    pair = (PLAYERS[own], PLAYERS[other])
    match = play_match(pair, GAME, jax.random.key(1), episodes=4, inner_episodes=EPISODES)
    views = [match.view(seat) for seat in range(2)]
    sizes = {"batch": BATCH, "inner_episodes": EPISODES}
    games = eqx.filter_jit(shaping.play)(GAME, pair[0], [shaping.Group(pair[1], REPLICAS)], jax.random.key(2), **sizes)
    for mine, theirs in (views, map(in_a_row, (games.own, games.others))):
        assert mine.actions.shape == (EPISODES * ROUNDS, 4)
        assert_one_game(mine, theirs)
        assert_plays(own, mine)
        assert_plays(other, theirs)


def test_all_kinds_of_co_players_side_by_side():
    """One agent against groups of every kind."""
    groups = [shaping.Group(player, REPLICAS) for player in PLAYERS.values()]
    sizes = {"batch": BATCH, "inner_episodes": EPISODES}
    games = eqx.filter_jit(shaping.play)(GAME, PLAYERS["coala"], groups, jax.random.key(3), **sizes)
    mine, theirs = map(in_a_row, (games.own, games.others))
    assert_one_game(mine, theirs)
    assert_plays("coala", mine)
    for index, kind in enumerate(PLAYERS):
        tables = slice(index * REPLICAS * BATCH, (index + 1) * REPLICAS * BATCH)
        group = jax.tree.map(lambda leaf, tables=tables: leaf[:, tables], theirs._replace(beyond=None))
        assert_plays(kind, group)


def test_the_players_are_unlike():
    """By their rules, against random actions: each kind does both actions, and no two do the same."""
    replies, played = np.random.default_rng(0).integers(2, size=(20, EPISODES, ROUNDS)), {}
    for kind in PLAYERS:
        done = []
        for table in replies:
            by_hand = ByHand(kind)
            for episode in table:
                seen = START
                for reply in episode:
                    done.append(by_hand.act(seen))
                    seen = 1 + 2 * done[-1] + reply
        played[kind] = tuple(done)
    assert all(set(done) == {0, 1} for done in played.values())
    assert len(set(played.values())) == len(PLAYERS)
