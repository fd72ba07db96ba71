"""Excess prediction losses against a slow computation, match by match and round by round."""

import jax
import numpy as np
import pytest

from coplayer.analysis.prediction import excess_loss_by_round
from coplayer.errors import CoplayerError
from coplayer.games.matrix import prisoners_dilemma
from coplayer.networks.world_model import RoundModel, TokenModel
from coplayer.play.rollout import play_match
from coplayer.players.automaton import named_automaton
from coplayer.players.memory1 import named_strategy
from coplayer.players.planner import PlannerSettings, PPIPlayer
from coplayer.pools import strangers
from oracles import RoundOracle, TokenOracle, with_random_weights

ROUNDS, MATCHES, NOISE = 9, 12, 0.1
GAME = prisoners_dilemma(ROUNDS)
NAMES = ("Hard Prober", "Tit For Tat", "Two Tits For Tat")
PLANNER = PlannerSettings(2, 2, 1.0)
KEY = jax.random.key(3)


def kl(truth, guess):
    return sum(p * np.log(p / q) for p, q in zip(truth, guess, strict=True))


class Walk:
    """A strategy whose hand trembles, step by step."""

    def __init__(self, name):
        automaton = named_automaton(name)
        self.next, self.chance, self.state = np.asarray(automaton.next), np.asarray(automaton.p_cooperate, float), 0

    def says(self):
        chance = self.chance[self.state]
        chance = chance * (1 - NOISE) + (1 - chance) * NOISE
        return np.array([chance, 1 - chance])

    def sees(self, own, other):
        self.state = self.next[self.state, 2 * own + other]


def slowly(oracle, joint, member):
    """Excess losses of the player and of the observer in each round of one match. `member`: who is at the table."""
    walks, weights, losses = [Walk(name) for name in NAMES], np.full(len(NAMES), 1 / len(NAMES)), []
    state = oracle.start()
    for both in joint:
        own, other = divmod(int(both), 2)
        truth = walks[member].says()
        observed = sum(weight * walk.says() for weight, walk in zip(weights, walks, strict=True))
        losses.append((kl(truth, predicted(oracle, state, own)), kl(truth, observed)))
        weights = weights * [walk.says()[other] for walk in walks]
        weights = weights / weights.sum()
        for walk in walks:
            walk.sees(other, own)
        state = oracle.after(state, own, other, float(GAME.payoff_vector()[int(both)]))
    return losses


def predicted(oracle, state, own):
    """Probabilities of the co-player's actions. A token model may give some weight to what cannot follow."""
    chances = [chance for chance, _, _ in oracle.branches(state, own)]
    return chances if len(chances) == 2 else chances[1 + 2 * own :][:2]


@pytest.mark.parametrize("model", [RoundModel, TokenModel])
def test_every_round_of_every_match(model):
    network = with_random_weights(lambda: model(GAME, 4, key=jax.random.key(0)), 5)
    player = PPIPlayer(network, PLANNER)
    found = excess_loss_by_round(player, GAME, NAMES, KEY, noise=NOISE, episodes=MATCHES)
    drawing, playing = jax.random.split(KEY)
    members = strangers.draw(drawing, GAME, MATCHES, strangers.pool_of(NAMES, GAME, NOISE))
    joint = np.asarray(play_match((player, members), GAME, playing, episodes=MATCHES).joint)
    oracle = (RoundOracle if model is RoundModel else TokenOracle)(network)
    assert len({*np.asarray(members.members).tolist()}) == len(NAMES)
    expected = [slowly(oracle, joint[:, i], int(members.members[i])) for i in range(MATCHES)]
    np.testing.assert_allclose(found.player, np.mean(expected, axis=0)[:, 0], rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(found.observer, np.mean(expected, axis=0)[:, 1], rtol=2e-4, atol=2e-5)
    assert (found.player > 0.01).all() and found.observer[0] < found.player[0]


def test_memory1_players_beside_the_rule_of_succession():
    network = with_random_weights(lambda: RoundModel(GAME, 4, key=jax.random.key(0)), 6)
    player = PPIPlayer(network, PLANNER)
    found = excess_loss_by_round(player, GAME, ["uniform"], KEY, episodes=MATCHES)
    drawing, playing = jax.random.split(KEY)
    met = strangers.draw(drawing, GAME, MATCHES, strangers.pool_of(("uniform",), GAME))
    joint = np.asarray(play_match((player, met), GAME, playing, episodes=MATCHES).joint)
    losses, oracle = np.zeros((ROUNDS, 2)), RoundOracle(network)
    for i in range(MATCHES):
        counts, state, seen = np.ones((5, 2)), oracle.start(), 0
        for at, both in enumerate(joint[:, i]):
            own, other = divmod(int(both), 2)
            truth = np.asarray(met.tables[seen, :, i], float)
            guesses = predicted(oracle, state, own), counts[seen] / counts[seen].sum()
            losses[at] += [kl(truth, guess) / MATCHES for guess in guesses]
            counts[seen, other] += 1
            seen, state = 1 + 2 * other + own, oracle.after(state, own, other, None)
    np.testing.assert_allclose(np.stack(found, 1), losses, rtol=2e-4, atol=2e-5)


def test_who_knows_the_only_stranger_of_the_pool_has_no_excess_loss():
    player = PPIPlayer(RoundModel(GAME, 4, key=jax.random.key(0)), PLANNER)
    found = excess_loss_by_round(player, GAME, ["Hard Prober"], KEY, episodes=3)
    np.testing.assert_allclose(found.observer, 0, atol=1e-6)
    assert (found.player > 0.05).all()


@pytest.mark.parametrize(
    ("pool", "noise", "message"),
    [
        (["mutants"], 0.0, "what fresh mutants will do is not known"),
        (["uniform"], 0.1, "pool_noise"),
        (["nobody"], 0.0, "pool: 'nobody' is not"),
    ],
)
def test_pools_that_are_refused(pool, noise, message):
    player = PPIPlayer(RoundModel(GAME, 4, key=jax.random.key(0)), PLANNER)
    with pytest.raises(CoplayerError, match=message):
        excess_loss_by_round(player, GAME, pool, KEY, noise=noise, episodes=2)


def test_who_does_not_predict_is_refused():
    with pytest.raises(CoplayerError, match="player: must be a PPIPlayer"):
        excess_loss_by_round(named_strategy("tit_for_tat"), GAME, NAMES, KEY)
