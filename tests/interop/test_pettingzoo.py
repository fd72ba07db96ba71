"""Games as PettingZoo's environments, against its own tests and against our tables; our agents act in them."""

import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import coplayer as cp
from coplayer.errors import CoplayerError
from coplayer.interop.pettingzoo import as_env
from coplayer.networks.actor_critic import ActorCritic
from coplayer.play.tables import MappedTables
from state_games import Carousel, Commons
from vault import Vault

ASYMMETRIC = cp.MatrixGame([[[4, 0], [3, 2]], [[1, 5], [0, 2]]], rounds=4)
GAMES = {
    "ipd": cp.prisoners_dilemma(6),
    "asymmetric": ASYMMETRIC,
    "public goods": cp.PublicGoods(num_players=4, rounds=5),
    "cleanup-lite": cp.CleanUpLite(rounds=20),
    "coin": cp.CoinGame(rounds=20, colours="random"),
    "a user's own, of symbols": Carousel(),
    "a user's own, of vectors": Commons(),
    "a user's own, of two": Vault(),
}


def library():
    return pytest.importorskip("pettingzoo", reason="needs coplayer[pettingzoo]")


@pytest.fixture(params=GAMES)
def game(request):
    library()
    return GAMES[request.param]


@pytest.mark.filterwarnings("ignore:.*(unbounded|infinity|infinite)")
def test_it_passes_their_tests(game, capsys):
    from pettingzoo.test import parallel_api_test, parallel_seed_test

    parallel_api_test(as_env(game), num_cycles=30)
    parallel_seed_test(partial(as_env, game), num_cycles=15)
    assert "Passed Parallel API test" in capsys.readouterr().out


def test_an_episode_is_that_of_our_tables(game):
    """Random actions, in the environment and at a table with its key: the same rounds to the bit."""
    env, draw = as_env(game), np.random.default_rng(0)
    observations, infos = env.reset(seed=3)
    tables = MappedTables(game)
    world = tables.open(jax.random.split(jax.random.key(3))[1][None])
    seats, step = range(game.num_players), jax.jit(tables.step)
    assert infos == {f"player_{seat}": {} for seat in seats}
    for round_ in range(game.rounds):
        for seat in seats:
            np.testing.assert_array_equal(observations[f"player_{seat}"], tables.observe(world, seat)[0])
        drawn = draw.integers(game.num_actions, size=game.num_players)
        world, record = step(world, tuple(jnp.array([action]) for action in drawn))
        chosen = {f"player_{seat}": drawn[seat] for seat in reversed(seats)}  # their order does not matter
        observations, rewards, terminated, truncated, infos = env.step(chosen)
        for seat in seats:
            agent, own = f"player_{seat}", record[seat]
            assert rewards[agent] == float(own.rewards[0])
            assert infos[agent] == {name: float(values[0]) for name, values in own.measures.items()}
            assert not terminated[agent] and truncated[agent] == (round_ == game.rounds - 1)
    assert env.agents == []


def test_a_seed_repeats_and_no_seed_goes_on():
    library()
    env, game = as_env(cp.CoinGame(rounds=3)), cp.CoinGame(rounds=3)
    first = [env.reset(seed=1)[0]["player_0"], *(env.reset()[0]["player_0"] for _ in range(5))]
    again = [env.reset(seed=1)[0]["player_0"], *(env.reset()[0]["player_0"] for _ in range(5))]
    np.testing.assert_array_equal(first, again)
    assert len({seen.tobytes() for seen in first}) > 1
    fresh = [[as_env(game).reset()[0]["player_0"].tobytes() for _ in range(6)] for _ in range(2)]
    assert fresh[0] != fresh[1]


def test_tit_for_tat_acts_in_it():
    library()
    game = cp.prisoners_dilemma(6)
    env, actor = as_env(game), cp.Actor(cp.named_strategy("tit_for_tat"), game)
    observations, _ = env.reset(seed=0)
    theirs, ours, earned = [0, 1, 1, 0, 1, 0], [], 0.0
    for action in theirs:
        ours.append(actor.act(observations["player_1"]))
        observations, rewards, *_ = env.step({"player_0": action, "player_1": ours[-1]})
        earned += rewards["player_1"]
    assert ours == [0, *theirs[:-1]]
    assert earned == 1 - 1 + 0 + 2 - 1 + 2  # CC, CD, DD, DC, CD, DC in its own view


@pytest.mark.parametrize("game", [GAMES["coin"], GAMES["ipd"]], ids=["coin", "ipd"])
def test_networks_act_in_it_and_in_turns(game):
    """Two agents in the environment, as rounds and as turns in a row: the same play."""
    library()
    from pettingzoo.utils import parallel_to_aec

    def actors():
        networks = (ActorCritic(game, 4, key=jax.random.key(k)) for k in range(2))
        return [cp.Actor(cp.RecurrentPlayer(network), game, seed=k) for k, network in enumerate(networks)]

    rounds, turns, env, players = [], [], as_env(game), actors()
    observations, _ = env.reset(seed=2)
    while env.agents:
        actions = {a: player.act(observations[a]) for a, player in zip(env.agents, players, strict=True)}
        observations, *_ = env.step(actions)
        rounds.append(tuple(actions.values()))
    assert len(rounds) == game.rounds and len(set(rounds)) > 1
    aec, players = parallel_to_aec(as_env(game)), actors()
    aec.reset(seed=2)
    for agent in aec.agent_iter():
        seen, _, _, truncated, _ = aec.last()
        action = None if truncated else players[int(agent[-1])].act(seen)
        turns += [] if truncated else [action]
        aec.step(action)
    assert turns == [action for both in rounds for action in both]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda env: as_env(cp.CoinGame), "game: CoinGame is a class"),
        (lambda env: env.step({}), "step: the episode is over, or has not begun; call reset"),
        (lambda env: (env.reset(), env.step({"player_0": 0})), "actions: player_1 has none"),
        (
            lambda env: (env.reset(), env.step({"player_0": 0, "player_1": 2})),
            "actions: this game has 0 to 1, player_1 took 2",
        ),
        (
            lambda env: (env.reset(), env.step({"player_0": 0, "player_1": -1})),
            "actions: of player_1: must be a whole number of at least 0, got -1",
        ),
        (lambda env: env.reset(seed=-1), "seed: must be a whole number"),
    ],
)
def test_what_is_refused(call, message):
    library()
    with pytest.raises(CoplayerError, match=message):
        call(as_env(cp.prisoners_dilemma(2)))


def test_without_pettingzoo_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pettingzoo", None)
    with pytest.raises(CoplayerError, match=r"pettingzoo: is not installed; pip install 'coplayer\[pettingzoo\]'"):
        as_env(cp.prisoners_dilemma(2))
