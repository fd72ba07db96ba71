"""A player who is asked for one action at a time, against the same player in a match."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import coplayer as cp
from coplayer.errors import CoplayerError
from coplayer.networks.actor_critic import ActorCritic
from coplayer.play.player import Player
from coplayer.players.recurrent import RecurrentPlayer

GAME = cp.prisoners_dilemma(4)


class Counting(Player):
    """Counts all rounds it has seen, and what it has earned by learning; acts by the parity of both together."""

    def begin(self, key, batch):
        return jnp.zeros(batch, jnp.int32)

    def act(self, state, observation, key):
        return state + 1, (state + observation) % 2, observation

    def learn(self, state, episode, notes, key):
        return state + (10 * episode.rewards.sum(0) + 100 * notes[0] + episode.beyond).astype(jnp.int32)


def test_state_is_kept_and_learning_gets_the_episode():
    actor = cp.Actor(Counting(), GAME)
    assert [actor.act(seen) for seen in (0, 2, 3)] == [0, 1, 1]  # the parity of 0 + 0, 1 + 2, 2 + 3
    actor.learn([1.0, 2.0, 0.0], 4)
    assert int(actor._state[0]) == 3 + 10 * 3 + 100 * 0 + 4
    assert actor.act(1) == (37 + 1) % 2
    actor.learn([0.0], 0)  # of the new episode alone
    assert int(actor._state[0]) == 38 + 100 * 1
    actor.begin()
    assert actor.act(0) == 0 and int(actor._state[0]) == 1


def test_a_lasting_player_remembers_the_match():
    network = ActorCritic(GAME, 4, key=jax.random.key(0))
    for lasting in (True, False):
        actor = cp.Actor(RecurrentPlayer(network, lasting=lasting), GAME)
        first = jax.tree.map(np.asarray, actor._state.state)
        for seen in (0, 1, 2):
            actor.act(seen)
        actor.learn([0.0, 0.0, 0.0], 3)
        same = jax.tree.map(np.array_equal, first, actor._state.state)
        forgot = all(jax.tree.leaves(same))
        assert forgot is not lasting


def test_a_network_acts_by_its_policy():
    """Against the probabilities of the network itself, over many first rounds."""
    network = ActorCritic(GAME, 4, key=jax.random.key(1))
    outputs = network.step(network.initial_state(1), jnp.zeros(1, jnp.int32), None).outputs
    defects = float(jax.nn.softmax(outputs[:-1, 0])[1])
    actor, drawn = cp.Actor(RecurrentPlayer(network), GAME, seed=5), []
    for _ in range(300):
        actor.begin()
        drawn.append(actor.act(0))
    assert np.mean(drawn) == pytest.approx(defects, abs=4 * np.sqrt(0.25 / 300))


def test_a_seed_repeats():
    def actions(seed):
        actor = cp.Actor(cp.named_strategy("random"), GAME, seed=seed)
        return [actor.act(0) for _ in range(30)]

    assert actions(1) == actions(1) != actions(2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cp.Actor(cp.named_strategy("random"), cp.PublicGoods()), "player: "),
        (lambda: cp.Actor(cp.named_strategy("random"), cp.CoinGame()), "player: "),
        (lambda: cp.Actor(Counting(), GAME, seed=-1), "seed: must be a whole number"),
        (lambda: cp.Actor(Counting(), GAME).act(0.5), "observation: must be of Symbol"),
        (lambda: cp.Actor(Counting(), GAME).act(np.array([0, 1])), "observation: must be of Symbol"),
        (lambda: cp.Actor(Counting(), GAME).learn([], 0), "learn: no round"),
        (
            lambda: cp.Actor(cp.named_walker(cp.CoinGame(), "greedy"), cp.CoinGame()).act(np.full(36, np.nan)),
            "observation: must be finite numbers",
        ),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(CoplayerError, match=message):
        call()


def test_rewards_of_another_number_of_rounds_are_refused():
    actor = cp.Actor(Counting(), GAME)
    actor.act(0)
    with pytest.raises(CoplayerError, match="rewards: must be of 1 rounds, got 2"):
        actor.learn([0.0, 1.0], 0)
