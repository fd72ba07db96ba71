"""Environments of JaxMARL, and of libraries like it, as games; and games as environments of JaxMARL."""

import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import coplayer as cp
from coplayer.cli import main
from coplayer.errors import CoplayerError
from coplayer.games.game import check_game
from coplayer.games.names import OURS
from coplayer.interop.jaxmarl import EnvGame, as_env
from coplayer.runs.folder import RunFolder
from state_games import Carousel, Commons

THEIR_COINS = f"{Path(__file__).parents[2] / 'examples' / 'jaxmarl_coin_game.py'}:TheirCoinGame"


def library():
    return pytest.importorskip("jaxmarl", reason="needs coplayer[jaxmarl]")


@pytest.fixture
def their_coins():
    library()
    from coplayer.games import files

    yield files.load(THEIR_COINS)[1]
    for name in cp.GAMES.keys() - set(OURS):
        del cp.GAMES[name]


class Stairs:
    """Two agents climb by their actions, and both are told who is where. An episode ends at step 3. Agents are keys of
    dicts, or, as in SocialJax, places in arrays and tuples.
    """

    def __init__(self, keyed, actions=3):
        self.keyed, self.actions = keyed, actions
        self.agents = ["one", "two"] if keyed else [0, 1]

    def _told(self, rows):
        return dict(zip(self.agents, rows, strict=True)) if self.keyed else tuple(rows)

    def _seen(self, at):
        rows = [jnp.array([[at[0], at[1]]]), jnp.array([[at[1], at[0]]])]
        return self._told(rows) if self.keyed else {"both": jnp.stack(rows)}

    def reset(self, key):
        at = jax.random.randint(key, (2,), 0, 2)
        return self._seen(at), {"at": at, "step": 0}

    def step_env(self, key, state, actions):
        chosen = jnp.stack([actions[agent] for agent in self.agents])
        at, step = state["at"] + chosen, state["step"] + 1
        infos = {"highest": at.max(), "climbed": chosen, "by_name": self._told(list(chosen))}
        rewards = self._told([1.0 * at[0], 10.0 * at[1]])
        return self._seen(at), {"at": at, "step": step}, rewards, {"__all__": step >= 3}, infos

    def action_space(self, *agent):
        if bool(agent) is not self.keyed:
            raise TypeError("takes no agent")
        return SimpleNamespace(n=self.actions)


@dataclass(frozen=True)
class StairsGame(EnvGame):
    rounds: int = 5
    keyed: bool = True
    infos: ClassVar[tuple[str, ...]] = ("highest", "climbed")

    def make(self):
        return Stairs(self.keyed)


@pytest.mark.parametrize("keyed", [True, False], ids=["as JaxMARL", "as SocialJax"])
def test_an_environment_by_hand(keyed):
    game = StairsGame(keyed=keyed)
    check_game(game)
    assert (game.num_players, game.num_actions, game.observation_space) == (2, 3, cp.Vector(2))
    state = game.reset(jax.random.key(0))
    a, b = (int(step) for step in state.theirs["at"])
    for round_, (one, two) in enumerate([(1, 0), (2, 2), (0, 1), (2, 2), (1, 1)]):
        before = state
        state, rewards = jax.jit(game.step)(state, jnp.array([one, two]), jax.random.key(1))
        a, b = (a + one, b + two) if round_ < 3 else (a, b)  # then the environment's episode is over
        np.testing.assert_array_equal(rewards, [a, 10 * b] if round_ < 3 else [0, 0])
        np.testing.assert_array_equal(game.observe(state, 0), [a, b])
        np.testing.assert_array_equal(game.observe(state, 1), [b, a])
        if round_ < 3:
            measured = [game.measure(before, None, state, seat) for seat in range(2)]
            assert [float(m["highest"]) for m in measured] == [max(a, b)] * 2
            assert [float(m["climbed"]) for m in measured] == [one, two]


def test_infos_by_agent_and_infos_that_are_not_there():
    class ByName(StairsGame):
        infos: ClassVar[tuple[str, ...]] = ("by_name",)

    game = ByName()
    state, _ = game.step(game.reset(jax.random.key(0)), jnp.array([1, 2]), jax.random.key(1))
    np.testing.assert_array_equal(state.infos["by_name"], [1, 2])

    class Lacking(StairsGame):
        infos: ClassVar[tuple[str, ...]] = ("height",)

    with pytest.raises(CoplayerError, match=r"game\.infos: height is not among those of the environment"):
        check_game(Lacking())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"agents": None}, "lacks agents"),
        ({"action_space": lambda agent: SimpleNamespace(shape=(2,))}, "must be whole numbers"),
        (
            {"action_space": lambda agent: SimpleNamespace(n=2 + (agent == "two"))},
            r"have different numbers of actions, \[2, 3\]",
        ),
        (
            {"reset": lambda key: ({"one": jnp.zeros(2), "two": jnp.zeros(5)}, {})},
            r"see different numbers of values, \[2, 5\]",
        ),
    ],
)
def test_what_is_refused(change, message):
    class Changed(StairsGame):
        def make(self):
            env = Stairs(True)
            vars(env).update(change)
            if change.get("agents", 0) is None:
                del env.agents
            return env

    with pytest.raises(CoplayerError, match=message):
        check_game(Changed())


def test_their_coin_game_is_played_as_they_play_it(their_coins):
    from jaxmarl.environments.coin_game import CoinGame

    env, game = CoinGame(num_inner_steps=32, num_outer_steps=1), their_coins
    check_game(game)
    assert (game.num_players, game.num_actions, game.observation_space) == (2, 5, cp.Vector(36))
    key, draw = jax.random.key(3), np.random.default_rng(0)
    seen, theirs = env.reset(key)
    ours, step, paid = game.reset(key), jax.jit(game.step), 0.0
    for round_ in range(game.rounds):
        for seat in range(2):
            np.testing.assert_array_equal(game.observe(ours, seat), seen[str(seat)])
        actions, key, before = jnp.asarray(draw.integers(5, size=2)), jax.random.key(round_), ours
        seen, theirs, rewards, dones, _ = env.step_env(key, theirs, {"0": actions[0], "1": actions[1]})
        ours, found = step(ours, actions, key)
        np.testing.assert_array_equal(found, [rewards["0"], rewards["1"]])
        coins = [game.measure(before, actions, ours, seat) for seat in range(2)]
        for seat, (own, other) in enumerate((coins, coins[::-1])):
            worth = own["own_coins"] + own["other_coins"] - 2 * other["other_coins"]
            assert round_ == game.rounds - 1 or float(worth) == float(rewards[str(seat)])
        paid += float(abs(found).sum())
    assert bool(dones["__all__"]) and paid > 0


@pytest.mark.parametrize(
    "words",
    [
        "a2c-mixed --iterations 2 --log-every 1 --phases 2 --episodes 4 --hidden 4 --learner-share 1"
        " --tabular-iterations 0",
        "coin-shaping --iterations 2 --log-every 1 --phases 1 --replicas 4 --batch 2 --hidden 4 --inner-episodes 2"
        " --segment 0 --entropy-from 0 --lambda-from 0 --naive-population 2",
    ],
    ids=["A2C", "COALA-PG"],
)
def test_learners_train_in_their_coin_game_from_the_command_line(their_coins, tmp_path, words, capsys):
    name, *flags = words.split()
    code = main(["train", name, "--game", THEIR_COINS, "--game.rounds", "4", *flags, "--out", str(tmp_path / "run")])
    assert code == 0, capsys.readouterr().err
    folder = RunFolder.open(tmp_path / "run")
    assert any(row.startswith("own_coins") for row in folder.metrics()[-1])
    agents = cp.load(tmp_path / "run")
    view = cp.play_match(agents[:1] * 2, type(their_coins)(4), jax.random.key(0), episodes=3).view(0)
    assert view.observations.shape == (4, 3, 36)


OWN = {
    "ipd": cp.prisoners_dilemma(5),
    "cleanup-lite": cp.CleanUpLite(rounds=5),
    "a user's own, of symbols": Carousel(),
    "a user's own, of vectors": Commons(),
}


@pytest.mark.parametrize("name", OWN)
def test_a_game_of_ours_is_one_of_theirs(name):
    """Against the rules themselves, and there and back again."""
    library()
    game, draw = OWN[name], np.random.default_rng(1)
    env = as_env(game)

    @dataclass(frozen=True)
    class Back(EnvGame):
        rounds: int = game.rounds

        def make(self):
            return env

    back, key = Back(), jax.random.key(2)
    seen, theirs = env.reset(key)
    ours, returned = game.reset(key), back.reset(key)
    for round_ in range(game.rounds):
        for seat, agent in enumerate(env.agents):
            told = game.observe(ours, seat)
            told = np.eye(game.observation_space.size)[told] if told.ndim == 0 else told
            np.testing.assert_array_equal(seen[agent], told)
            np.testing.assert_array_equal(back.observe(returned, seat), told)
            assert env.observation_space(agent).contains(seen[agent])
        actions, key, before = (
            jnp.asarray(draw.integers(game.num_actions, size=game.num_players)),
            jax.random.key(9),
            ours,
        )
        ours, rewards = game.step(ours, actions, key)
        by_agent = dict(zip(env.agents, actions, strict=True))
        seen, theirs, earned, dones, infos = env.step_env(key, theirs, by_agent)
        returned, again = back.step(returned, actions, key)
        np.testing.assert_array_equal(jnp.stack(list(earned.values())), rewards)
        np.testing.assert_array_equal(again, rewards)
        assert set(map(bool, dones.values())) == {round_ == game.rounds - 1}
        for seat in range(game.num_players):
            for measure, value in game.measure(before, actions, ours, seat).items():
                assert float(infos[measure][seat]) == float(value)


def test_their_wrapper_and_automatic_reset_take_a_game_of_ours():
    library()
    from jaxmarl.wrappers.baselines import LogWrapper

    env = LogWrapper(as_env(cp.prisoners_dilemma(4)))
    keys = jax.random.split(jax.random.key(0), 3)
    _, state = jax.vmap(env.reset)(keys)
    assert env.get_avail_actions(state.env_state)["agent_1"].tolist() == [True, True]
    returns = []
    for _ in range(8):
        actions = {"agent_0": jnp.zeros(3, int), "agent_1": jnp.ones(3, int)}
        _, state, _, dones, info = jax.vmap(env.step)(keys, state, actions)
        returns.append(info["returned_episode_returns"])
        assert info["cooperation"].shape == (3, 2)
    assert dones["__all__"].all() and (state.env_state.step == 0).all()  # a new episode has begun
    np.testing.assert_array_equal(returns[-1], [[-4.0, 8.0]] * 3)


def test_without_jaxmarl_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jaxmarl", None)
    with pytest.raises(CoplayerError, match=r"jaxmarl: is not installed; pip install 'coplayer\[jaxmarl\]'"):
        as_env(cp.prisoners_dilemma(2))
