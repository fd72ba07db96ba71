"""The page's own JavaScript, run by node, against JAX. With the same random numbers come the same logits, the same Q,
the same beliefs, and whole matches move by move.
"""

import json
import shutil
import subprocess
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.networks.actor_critic import ActorCritic
from coplayer.networks.world_model import RoundModel, TokenModel
from coplayer.pages import minds
from coplayer.pages.play import Seated, write_page
from coplayer.play.player import Player
from coplayer.play.rollout import keys_of_rounds, play_match
from coplayer.players.automaton import named_automaton
from coplayer.players.memory1 import Memory1, cooperation, identity_size
from coplayer.players.planner import PlannerSettings, PPIPlayer, estimate_q
from coplayer.players.recurrent import RecurrentPlayer
from coplayer.pools.tabular import draw_tables

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed: the page's JavaScript is not run")
DRIVE = Path(__file__).with_name("drive.js")
PD = prisoners_dilemma(24)
THREE = MatrixGame([[3.0, 0.0, -1.0], [4.0, 1.0, 0.5], [0.0, 2.0, 1.0]], rounds=18, cooperation=1)
UNLIKE = MatrixGame([[[3.0, 0.0], [5.0, 1.0]], [[2.0, -1.0], [4.0, 0.0]]], rounds=18)
TOLERANCE = 1e-5


def run(page: Path, *tasks: dict) -> list:
    """What the page's own JavaScript answers."""
    asked = json.dumps(tasks)
    ran = subprocess.run([NODE, DRIVE, page], input=asked, capture_output=True, text=True, check=True)
    return json.loads(ran.stdout)


def strong(network, scale: float = 2.5):
    """A network with larger weights, whose policy depends on what it sees."""
    return jax.tree.map(lambda leaf: leaf * scale if eqx.is_array(leaf) else leaf, network)


def planner(game, key=0, *, model=RoundModel, core="gru", hidden=8, told=False, **settings):
    size = identity_size(game) if told else 0
    network = model(game, hidden, core=core, identity_size=size, key=jax.random.key(key))
    how = PlannerSettings(**{"rollouts": 5, "horizon": 6, "temperature": 0.5, **settings})
    return PPIPlayer(strong(network, 1.0 if core == "hawk" else 2.5), how)


def recurrent(game, key=0, *, core="gru", lasting=False, told=False):
    size = identity_size(game) if told else 0
    network = ActorCritic(game, 8, core=core, identity_size=size, key=jax.random.key(key))
    return RecurrentPlayer(strong(network, 1.0 if core == "hawk" else 2.5), lasting=lasting)


def numbers(player, key, game) -> dict:
    """The random numbers that a player draws from its key in a round, as the page takes them."""
    if not isinstance(player, PPIPlayer):
        return {"plan": None, "move": float(jax.random.uniform(key, (1,))[0])}
    settings, own = player.settings, jax.random.fold_in(key, 0)
    rows = 1 if settings.common_random_numbers else game.num_actions
    shape = (2, rows, settings.rollouts, 1)
    steps = [jax.random.uniform(jax.random.fold_in(own, step), shape) for step in range(settings.horizon)]
    move = jax.random.uniform(jax.random.fold_in(key, 1), (1,))
    return {"plan": [np.asarray(step).ravel().tolist() for step in steps], "move": float(move[0])}


def chances(players, key, game, episodes) -> list[list[dict]]:
    """Those of a whole match, by player and round."""
    keys = keys_of_rounds(key, jnp.arange(game.rounds * episodes), len(players))
    return [[numbers(player, each, game) for each in own] for player, own in zip(players, keys, strict=True)]


def page_of(players, game, path):
    named = {f"player {i}": Seated(player, "", None) for i, player in enumerate(players)}
    write_page(path / "play.html", game, named)
    return path / "play.html"


CASES = {
    "round model": lambda: (PD, planner(PD), planner(PD, 1), 1),
    "sampled rewards": lambda: (PD, planner(PD, 2), cooperation([0.9, 0.8, 0.2, 0.7, 0.3]), 1),
    "expected rewards": lambda: (PD, planner(PD, 3, expected_rewards=True), planner(PD, 4, horizon=1), 1),
    "own random numbers": lambda: (PD, planner(PD, 5, common_random_numbers=False), named_automaton("Grudger"), 1),
    "token model": lambda: (PD, planner(PD, 6, model=TokenModel), recurrent(PD, 7), 1),
    "hawk": lambda: (PD, planner(PD, 8, core="hawk", expected_rewards=True), recurrent(PD, 9, core="hawk"), 1),
    "told": lambda: (PD, planner(PD, 10, told=True), recurrent(PD, 11, told=True), 1),
    "inner episodes": lambda: (
        prisoners_dilemma(6),
        recurrent(PD, 12, core="hawk", lasting=True),
        planner(PD, 13),
        4,
    ),
    "inner episodes of a gru": lambda: (
        prisoners_dilemma(6),
        recurrent(PD, 14, lasting=True),
        named_automaton("Fool Me Once"),
        4,
    ),
    "three actions": lambda: (
        THREE,
        planner(THREE, 15, expected_rewards=True),
        Memory1(draw_tables(jax.random.key(0), THREE, 1)[..., 0]),
        1,
    ),
    "three actions by tokens": lambda: (THREE, planner(THREE, 16, model=TokenModel), recurrent(THREE, 17), 1),
    "two tables": lambda: (
        UNLIKE,
        planner(UNLIKE, 18, model=TokenModel).in_seat(0),
        planner(UNLIKE, 19, model=TokenModel).in_seat(1),
        1,
    ),
}


@needs_node
@pytest.mark.parametrize("name", CASES)
def test_whole_matches_move_by_move(name, tmp_path):
    game, one, other, episodes = CASES[name]()
    players, key = (one, other), jax.random.key(20)
    match = play_match(players, game, key, inner_episodes=episodes)
    views = [match.view(k) for k in range(2)]
    seated = {f"player {k}": Seated(player, "", None if game.symmetric else k) for k, player in enumerate(players)}
    write_page(tmp_path / "play.html", game, seated)
    task = {"task": "match", "players": [0, 1], "rounds": game.rounds, "episodes": episodes, "seats": [0, 1]}
    (played,) = run(tmp_path / "play.html", task | {"chances": chances(players, key, game, episodes)})
    assert len(played) == game.rounds * episodes
    for k, view in enumerate(views):
        moves = np.asarray(view.actions[:, 0])
        assert [each["actions"][k] for each in played] == moves.tolist()
        np.testing.assert_allclose([each["rewards"][k] for each in played], view.rewards[:, 0], atol=1e-6)
    assert len({tuple(each["actions"]) for each in played}) > 1  # the numbers decide


@eqx.filter_jit
def told(player, state, observation, key):
    """The state in which a planner acts, and what it knows there: logits, Q, replies to each action."""
    state = player.see(state, observation)
    q = estimate_q(player.model, state, jax.random.fold_in(key, 0), player.settings)
    logs = [player.model.reply_logs(state, jnp.array([own])) for own in range(player.model.game.num_actions)]
    return state, player.model.action_logits(state)[:, 0], q[:, 0], jnp.exp(jnp.stack(logs))[..., 0]


@needs_node
@pytest.mark.parametrize("how", ["round", "token", "hawk", "three"])
def test_logits_q_policy_and_beliefs(how, tmp_path):
    game = THREE if how == "three" else PD
    model, core = (TokenModel if how == "token" else RoundModel), ("hawk" if how == "hawk" else "gru")
    player = planner(
        game, 3, model=model, core=core, expected_rewards=how == "round", rollouts=12, horizon=15, hidden=32
    )
    other = Memory1(draw_tables(jax.random.key(1), game, 1)[..., 0])
    key, players = jax.random.key(4), (player, other)
    match = play_match(players, game, key)
    page = page_of(players, game, tmp_path)
    task = {"task": "match", "players": [0, 1], "rounds": game.rounds, "episodes": 1, "seats": [0, 1]}
    (played,) = run(page, task | {"chances": chances(players, key, game, 1)})
    keys, state, all_q = keys_of_rounds(key, jnp.arange(game.rounds), 2)[0], player.begin(key, 1), []
    for t in range(game.rounds):
        state, logits, q, replies = told(player, state, match.view(0).observations[t], keys[t])
        thought = played[t]["thoughts"][0]
        np.testing.assert_allclose(thought["logits"], logits, atol=TOLERANCE)
        np.testing.assert_allclose(thought["q"], q, atol=TOLERANCE)
        np.testing.assert_allclose(thought["replies"], replies, atol=TOLERANCE)
        imagined = np.array(thought["futures"]).sum(-1).mean(-1)  # what is drawn is what Q is the mean of
        np.testing.assert_allclose(imagined, thought["q"], atol=1e-9)
        all_q.append(q)
    assert np.std(all_q, axis=0).min() > 0.01  # Q depends on what was seen


@needs_node
def test_values_of_an_actor_critic(tmp_path):
    player, key = recurrent(PD, 3), jax.random.key(5)
    players = (player, cooperation([0.5] * 5))
    match = play_match(players, PD, key)
    task = {"task": "match", "players": [0, 1], "rounds": PD.rounds, "episodes": 1, "seats": [0, 1]}
    (played,) = run(page_of(players, PD, tmp_path), task | {"chances": chances(players, key, PD, 1)})
    logits, values = player.network.unroll(match.view(0).observations)
    np.testing.assert_allclose([each["thoughts"][0]["logits"] for each in played], logits[..., 0].T, atol=TOLERANCE)
    np.testing.assert_allclose([each["thoughts"][0]["value"] for each in played], values[:, 0], atol=TOLERANCE)


@needs_node
def test_what_a_planner_expects_of_the_other_after_each_pair_of_moves(tmp_path):
    """By imagining the round, own actions weighted by the prior, seen from the other's side."""
    player, key = planner(PD, 6), jax.random.key(7)
    players = (player, cooperation([0.5] * 5))
    match = play_match(players, PD, key)
    task = {"task": "match", "players": [0, 1], "rounds": PD.rounds, "episodes": 1, "seats": [0, 1]}
    (played,) = run(page_of(players, PD, tmp_path), task | {"chances": chances(players, key, PD, 1)})
    state = player.begin(key, 1)
    for t in range(4):
        state = player.see(state, match.view(0).observations[t])
        for own in range(2):
            for reply in range(2):
                after = player.see(state, jnp.array([1 + 2 * own + reply]))
                prior = jax.nn.softmax(player.model.action_logits(after)[:, 0])
                coming = [jnp.exp(player.model.reply_logs(after, jnp.array([a]))[0, 0]) for a in range(2)]
                expected = prior[0] * coming[0] + prior[1] * coming[1]
                got = played[t]["thoughts"][0]["expectations"][2 * reply + own]
                np.testing.assert_allclose(got, expected, atol=TOLERANCE)


@needs_node
def test_signature_counts_what_followed_each_pair_within_an_episode(tmp_path):
    page = page_of([planner(PD)], PD, tmp_path)
    moves = [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0), (1, 1)]
    played = [{"actions": pair, "episode": t // 3} for t, pair in enumerate(moves)]
    mine, others = run(page, *({"task": "signature", "played": played, "player": k} for k in range(2)))
    # own view of player 0: CC->D, DC->D | CD->C, CC->D; the step from round 2 to 3 is across episodes
    assert mine == [
        {"count": 2, "rate": 0},
        {"count": 1, "rate": 1},
        {"count": 1, "rate": 0},
        {"count": 0, "rate": None},
    ]
    assert [each["rate"] for each in others] == [0.5, 0, 1, None]


@needs_node
def test_an_imitation_does_as_often_what_was_done_after_each_pair(tmp_path):
    page = page_of([planner(THREE)], THREE, tmp_path)
    moves = [(0, 1), (2, 1), (0, 1), (1, 2), (0, 0), (2, 0)]
    played = [{"actions": pair, "episode": t // 4} for t, pair in enumerate(moves)]
    mine = [0, 1 + 1, 1 + 7, 1 + 0, 1 + 5]  # START, after 01, after 21, after 00, after 12
    task = {"task": "imitation", "played": played}
    one, other = run(page, *(task | {"player": k, "observations": seen} for k, seen in ((0, mine), (1, [0, 1 + 3]))))
    never = [pytest.approx(1 / 3)] * 3
    assert one == [[1, 0, 0], [0, 0.5, 0.5], [1, 0, 0], [0, 0, 1], never]
    assert other == [[0.5, 0.5, 0], [0, 0.5, 0.5]]


@needs_node
def test_nearest_kind_over_the_situations_that_were_seen(tmp_path):
    page = page_of([planner(PD)], PD, tmp_path)
    exact, partly, none = run(
        page, *({"task": "nearest", "rates": r} for r in ([1, 0, 1, 0], [None, 0, None, 1], [None] * 4))
    )
    assert exact[0]["name"] == "tit for tat" and exact[0]["distance"] == 0
    assert partly[0]["name"] == "win stay lose shift"
    random = next(each for each in exact if each["name"] == "random")
    assert random["distance"] == pytest.approx(0.5)
    assert none == []


@needs_node
def test_random_numbers_are_uniform_and_of_their_seed_and_stream(tmp_path):
    page = page_of([planner(PD)], PD, tmp_path)
    asked = [(1, 0), (1, 0), (1, 1), (2, 0), (1 + 2**40, 0)]
    drawn = run(page, *({"task": "random", "seed": s, "stream": k, "count": 4000} for s, k in asked))
    one, again, *others = map(np.array, drawn)
    np.testing.assert_array_equal(one, again)
    for each in (one, *others):
        assert each.min() >= 0 and each.max() < 1
        counts = np.histogram(each, bins=10, range=(0, 1))[0]
        assert ((counts - 400) ** 2 / 400).sum() < 27.9  # chi-squared of 9 degrees of freedom, 1 in 1,000
        assert abs(np.corrcoef(each[1:], each[:-1])[0, 1]) < 0.06
    assert all(abs(np.corrcoef(one, each)[0, 1]) < 0.06 for each in others)


@needs_node
def test_a_move_takes_less_than_50_milliseconds(tmp_path):
    player = planner(PD, hidden=32, rollouts=12, horizon=15, expected_rewards=True)
    (milliseconds,) = run(page_of([player], PD, tmp_path), {"task": "time", "player": 0, "rounds": 20})
    assert milliseconds < 50


def test_weights_are_little_endian_singles():
    one = minds.packed((jnp.array([[1.0, -2.0]]), jnp.array([0.5])))
    assert one == [{"shape": [1, 2], "data": "AACAPwAAAMA="}, {"shape": [1], "data": "AAAAPw=="}]


def test_a_planner_of_the_quick_preset_is_4010_numbers():
    about = minds.described(PPIPlayer(RoundModel(PD, 32, key=jax.random.key(0)), PlannerSettings()), PD)
    assert minds.count(about) == 4010


class Strange(eqx.Module):
    """A core that no page knows."""

    width: int = 4


class Scripted(Player):
    """A player that no page knows."""

    def begin(self, key, batch):
        return None

    def act(self, state, observation, key):
        return None, jnp.zeros_like(observation), None


@pytest.mark.parametrize(
    ("player", "message"),
    [
        (lambda: cooperation(np.full((3, 5), 0.5)), "a page plays one memory-1 player, got a batch of shape"),
        (Scripted, "a page plays PPI, A2C and COALA-PG agents, .* not Scripted"),
        (lambda: planner(THREE), "its model is made for 3 actions, this game has 2"),
        (lambda: eqx.tree_at(lambda p: p.network.core, recurrent(PD), Strange()), "a page has no core Strange"),
    ],
)
def test_what_a_page_cannot_play_is_refused(player, message):
    with pytest.raises(CoplayerError, match=message):
        minds.described(player(), PD)
