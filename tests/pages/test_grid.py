"""Games on a grid in the page's own JavaScript, run by node, against JAX. The rules are compared round by round, with
what agents make of what they see, and whole matches move by move. Episodes come out of a page as they were put in.
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
from coplayer.games.cleanup import Chance, CleanUpLite, CleanUpState, advance
from coplayer.games.coin import CoinGame
from coplayer.games.grid import Scene
from coplayer.networks.actor_critic import ActorCritic
from coplayer.pages.grid import Replay, rules_of, write_grid_page
from coplayer.pages.play import Seated
from coplayer.play.rollout import TABLES, keys_of_rounds, play_match
from coplayer.play.tables import table_keys
from coplayer.players.recurrent import RecurrentPlayer
from coplayer.players.walker import STRATEGIES, Walker, named_walker
from oracles import assert_as_frequent
from state_games import Commons

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed: the page's JavaScript is not run")
DRIVE = Path(__file__).with_name("drive.js")
CLEANUP, COIN = CleanUpLite(12), CoinGame(rounds=12)
COINS = {"alternating": CoinGame(), "random": CoinGame(size=4, colours="random")}
TOLERANCE = 1e-5


def run(page: Path, *tasks: dict) -> list:
    """What the page's own JavaScript answers."""
    ran = subprocess.run([NODE, DRIVE, page], input=json.dumps(tasks), capture_output=True, text=True, check=True)
    return json.loads(ran.stdout)


def agent(game, key=0, *, core="gru", lasting=True):
    network = ActorCritic(game, 8, core=core, key=jax.random.key(key))
    strong = jax.tree.map(lambda leaf: leaf * 2 if eqx.is_array(leaf) else leaf, network)
    return RecurrentPlayer(strong if core == "gru" else network, lasting=lasting)


def page_of(game, path, players=None, replays=()):
    players = [agent(game)] if players is None else players
    named = {f"agent {i}": Seated(player, "", None, game.rounds, 3) for i, player in enumerate(players)}
    write_grid_page(path / "play.html", game, named, replays)
    return path / "play.html"


def plain(tree):
    """A state as JSON has it, by the names of its fields."""
    return {name: np.asarray(value).tolist() for name, value in tree._asdict().items()}


def compare(game, page, states, actions, draws, step, chance):
    """Each round of JavaScript, with these draws, beside that of JAX, with this chance."""
    after, rewards = jax.jit(jax.vmap(step))(states, actions, chance)
    before, pairs, drawn = plain(states), np.asarray(actions).tolist(), np.asarray(draws).tolist()
    rounds = [
        {"state": {name: values[i] for name, values in before.items()}, "actions": pairs[i], "draws": drawn[i]}
        for i in range(len(pairs))
    ]
    strategies = STRATEGIES[type(game)]
    played, *walked = run(
        page,
        {"task": "advance", "rounds": rounds},
        *({"task": "policies", "strategy": name, "rounds": rounds} for name in strategies),
    )
    assert len(played) == len(rounds)
    seen = jax.vmap(lambda state: game.observe(state, 0))(states)
    for policies, strategy in zip(walked, strategies.values(), strict=True):
        policy = jax.jit(jax.vmap(lambda each, strategy=strategy: strategy.policy(game, each)))(seen)
        np.testing.assert_allclose(policies, policy, rtol=1e-6)
    for name, values in after._asdict().items():
        np.testing.assert_array_equal(np.array([one["after"][name] for one in played]), values, err_msg=name)
    np.testing.assert_array_equal([one["rewards"] for one in played], rewards)
    for player in range(2):
        seen = jax.jit(jax.vmap(lambda state, player=player: game.observe(state, player)))(after)
        np.testing.assert_array_equal([one["seen"][player] for one in played], seen)
        measured = jax.vmap(lambda *of, player=player: game.measure(*of, player))(states, actions, after)
        for name in played[0]["measures"][player]:
            np.testing.assert_array_equal([one["measures"][player][name] for one in played], measured[name])
    for one, sees in zip(played, np.asarray(jax.vmap(lambda state: game.observe(state, 0))(after)), strict=True):
        scene, kinds = game.scene(sees), one["scene"]["things"]
        columns = scene.size[0]
        assert one["scene"]["players"] == [row * columns + column for column, row in scene.players]
        assert one["scene"]["frozen"] == scene.frozen
        things = {(row * columns + column, kind) for (column, row), kind in scene.things.items()}
        assert {(cell, kind) for kind, cells in kinds.items() for cell in cells} == things
    return after, rewards


@needs_node
def test_thousands_of_rounds_of_cleanup(tmp_path):
    """From states of all kinds, with numbers near every threshold among the random ones."""
    count, keys = 4000, jax.random.split(jax.random.key(0), 9)
    cells = jax.random.randint(keys[0], (count, 2, 2), 0, jnp.array([5, 4]))
    aside = jax.random.randint(keys[8], (count, 2), -1, 2)
    near = jnp.clip(cells[:, 0] + aside, 0, jnp.array([4, 3]))
    close = jax.random.bernoulli(keys[1], 0.5, (count,))
    positions = cells.at[:, 1].set(jnp.where(close[:, None], near, cells[:, 1]))
    frozen = jnp.where(jax.random.bernoulli(keys[2], 0.3, (count, 2)), jax.random.randint(keys[3], (count, 2), 1, 6), 0)
    flags = jax.random.bernoulli(keys[4], 0.5, (2, count, 4))
    states = CleanUpState(positions, frozen, flags[0], flags[1], jnp.zeros((count, 2), bool))
    actions = jax.random.choice(keys[5], jnp.array([0, 1, 2, 3, 4, 4, 4, 5]), (count, 2))
    draws = jax.random.uniform(keys[6], (count, 6))
    edges = jnp.array([0.0, 0.35, 1 / 3, 2 / 3, 0.9, 0.25, 0.5, 0.75, 1 - 2**-23], jnp.float32)
    near = jax.random.choice(keys[7], edges, (count, 6))
    draws = jnp.where(jax.random.bernoulli(keys[8], 0.3, (count, 6)), near, draws)

    def step(state, pair, drawn):
        return advance(state, pair, Chance(*drawn[:4], drawn[4:]))

    after, rewards = compare(CLEANUP, page_of(CLEANUP, tmp_path), states, actions, draws, step, draws)
    assert rewards.sum() > 50 and after.cleaned.sum() > 50 and (after.frozen == 5).sum() > 50


@needs_node
@pytest.mark.parametrize("colours", COINS)
def test_thousands_of_rounds_of_the_coin_game(tmp_path, colours):
    game, count = COINS[colours], 2000
    states = jax.jit(jax.vmap(game.reset))(jax.random.split(jax.random.key(1), count))
    actions = jax.random.randint(jax.random.key(2), (count, 2), 0, 4)
    keys = jax.random.split(jax.random.key(3), count)
    draws = jax.vmap(lambda key: jax.random.uniform(key, (2,)))(keys)
    _, rewards = compare(game, page_of(game, tmp_path), states, actions, draws, game.step, keys)
    assert {float(r) for r in np.unique(rewards)} == {-2.0, -1.0, 0.0, 1.0}


def chance_of(game, key, episodes):
    """The states in which episodes begin and what is random in each round, as `play_match` draws them."""
    opens, draws = [], []
    count = 6 if isinstance(game, CleanUpLite) else 2
    for index in range(episodes):
        own = jax.random.fold_in(jax.random.fold_in(key, TABLES), index) if episodes > 1 else key
        (table,) = table_keys(jax.random.fold_in(own, TABLES), 1)
        opens.append(plain(game.reset(jax.random.fold_in(table, 0))))
        keys = [jax.random.fold_in(table, 1 + t) for t in range(game.rounds)]
        draws += [np.asarray(jax.random.uniform(each, (count,))).tolist() for each in keys]
    return {"opens": opens, "draws": draws}


MATCHES = {
    "cleanup": lambda: (CLEANUP, agent(CLEANUP), agent(CLEANUP, 1, core="hawk", lasting=False), 2),
    "coin": lambda: (COIN, agent(COIN, 2, lasting=False), agent(COIN, 3), 1),
    "coin strategies": lambda: (COIN, named_walker(COIN, "considerate"), named_walker(COIN, "random"), 1),
    "coin, inner episodes": lambda: (COIN, agent(COIN, 4), agent(COIN, 5, lasting=False), 3),
}


@needs_node
@pytest.mark.parametrize("name", [*[*MATCHES][:-1], pytest.param("coin, inner episodes", marks=pytest.mark.long)])
def test_whole_matches_move_by_move_and_what_agents_make_of_what_they_see(name, tmp_path):
    game, one, other, episodes = MATCHES[name]()
    players, key = (one, other), jax.random.key(20)
    match = play_match(players, game, key, inner_episodes=episodes)
    keys = keys_of_rounds(key, jnp.arange(game.rounds * episodes), 2)
    moves = [[float(jax.random.uniform(each, (1,))[0]) for each in own] for own in keys]
    task = {"task": "walk", "players": [0, 1], "rounds": game.rounds, "episodes": episodes, "chances": moves}
    (played,) = run(page_of(game, tmp_path, players), task | chance_of(game, key, episodes))
    for k, player in enumerate(players):
        view = match.view(k)
        assert [each["actions"][k] for each in played] == np.asarray(view.actions[:, 0]).tolist()
        np.testing.assert_array_equal([each["rewards"][k] for each in played], view.rewards[:, 0])
        if isinstance(player, Walker):
            continue
        seen = view.observations if player.lasting else view.observations.reshape(episodes, game.rounds, -1)
        parts = [seen] if player.lasting else [part[:, None] for part in seen]
        logits, values = (
            np.concatenate(outputs) for outputs in zip(*(outputs_of(player, part) for part in parts), strict=True)
        )
        np.testing.assert_allclose([each["thoughts"][k]["logits"] for each in played], logits, atol=TOLERANCE)
        np.testing.assert_allclose([each["thoughts"][k]["value"] for each in played], values, atol=TOLERANCE)
    assert len({tuple(each["actions"]) for each in played}) > 5


def outputs_of(player, observations):
    logits, values = player.network.unroll(observations)
    return np.asarray(logits[..., 0]).T, np.asarray(values[:, 0])


@needs_node
def test_episodes_begin_as_often_in_each_way_as_in_jax(tmp_path):
    count = 4000
    (drawn,) = run(page_of(CLEANUP, tmp_path), {"task": "resets", "seed": 3, "count": count})
    states = [each["state"] for each in drawn]
    for k in range(2):
        cells = np.array([row * 5 + column for column, row in (state["positions"][k] for state in states)])
        assert_as_frequent(cells, np.full(20, 1 / 20))
    clean = [state["dirt"].index(False) for state in states]
    assert all(sum(state["dirt"]) == 3 and not any(state["apples"]) for state in states)
    assert_as_frequent(clean, np.full(4, 1 / 4))
    (tmp_path / "coin").mkdir()
    (drawn,) = run(page_of(COIN, tmp_path / "coin"), {"task": "resets", "seed": 4, "count": count})
    places = [tuple(map(tuple, [*each["state"]["positions"], each["state"]["coin"]])) for each in drawn]
    assert all(len(set(three)) == 3 for three in places)
    assert len(set(places)) == 9 * 8 * 7
    assert_as_frequent([each["state"]["colour"] for each in drawn], np.full(2, 1 / 2))
    numbers = np.array([each["draws"] for each in drawn])
    assert numbers.shape == (count, 2) and (numbers * 2**23 % 1 == 0).all()


REPLAY = Replay(
    ("one", "other"),
    "an episode",
    [
        Scene((5, 4), [(0, 1), (4, 3)], [False, True], {(0, 0): "apple", (4, 3): "dirt", (4, 1): "dirt"}),
        Scene((5, 4), [(2, 0), (2, 0)], [True, False], {}),
        Scene((5, 4), [(2, 1), (2, 0)], [False, False], {(4, 1): "dirt"}),
    ],
    np.array([[4, 0], [5, 3]]),
    np.array([[1.0, 0.0], [0.0, -0.5]]),
    {"cleaning": np.array([[False, True], [True, False]]), "zapped": np.zeros((2, 2), bool)},
)


@needs_node
def test_an_episode_comes_out_as_it_was_put_in(tmp_path):
    (((first, second),),) = run(page_of(CLEANUP, tmp_path, replays=[REPLAY]), {"task": "recorded"})
    assert first == {
        "scene": {"players": [5, 19], "frozen": [False, True], "things": {"apple": [0], "dirt": [19, 9]}},
        "next": second["scene"],
        "actions": [4, 0],
        "rewards": [1, 0],
        "measures": [{"cleaning": False, "zapped": False}, {"cleaning": True, "zapped": False}],
    }
    assert second["scene"] == {"players": [2, 2], "frozen": [True, False], "things": {"apple": [], "dirt": []}}
    assert second["actions"] == [5, 3] and second["rewards"] == [0, -0.5]
    assert second["next"] == {"players": [7, 2], "frozen": [False, False], "things": {"apple": [], "dirt": [9]}}


def test_the_rules_have_the_numbers_of_the_game():
    assert rules_of(CLEANUP)["dirt_chance"] == 0.35 and rules_of(CLEANUP)["rounds"] == 12
    assert rules_of(CoinGame(size=4, colours="random")) | {"rounds": 0} == {
        **{"name": "coin", "size": 4, "rounds": 0, "colours": "random"},
        **{"columns": 4, "rows": 4, "worth": 1.0, "damage": 2.0},
    }
    with pytest.raises(CoplayerError, match="a page plays matrix games, CleanUpLite and CoinGame, not Commons"):
        rules_of(Commons())
