"""PettingZoo (https://pettingzoo.farama.org): every game of ours as its `ParallelEnv`.

    pip install 'coplayer[pettingzoo]'

Any learner written for PettingZoo can train in a game of ours, and meet our agents there:

    env = as_env(coplayer.CleanUpLite())
    actor = coplayer.Actor(coplayer.load("runs/cleanup")[0], coplayer.CleanUpLite())
    observations, _ = env.reset(seed=0)
    while env.agents:
        actions = {"player_0": actor.act(observations["player_0"]), "player_1": env.action_space("player_1").sample()}
        observations, rewards, _, _, _ = env.step(actions)

For turns in a row instead of rounds, wrap it: `pettingzoo.utils.parallel_to_aec(as_env(game))`.
"""

import functools
import importlib
import secrets
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from coplayer.errors import imported, require, require_whole
from coplayer.games.game import Game, Symbol, check_game


def library() -> Any:
    """The module `pettingzoo`. Raises `CoplayerError` where it is not installed."""
    return imported("pettingzoo", "pettingzoo")


def as_env(game: Game) -> Any:
    """A `pettingzoo.ParallelEnv` of one table of the game. Its `metadata` have the name of the game's class.

    The agents are "player_0", "player_1" and so on, by seat. Observations are whole numbers (`Discrete`) or
    float32 vectors (`Box`), actions whole numbers (`Discrete`). The infos have what the game measures of each agent in
    the round. All agents are truncated together after `game.rounds` rounds; no agent is terminated earlier.

    A step is compiled by JAX once for each game. `reset(seed=...)` makes all chance of the game start anew; `reset()`
    goes on from there. Raises `CoplayerError` for a game that cannot be played, for actions that the game does not
    have, and where PettingZoo is not installed.
    """
    library()
    check_game(game)
    return _env_class()(game)


@functools.cache
def _env_class() -> type:
    pettingzoo, spaces = library(), importlib.import_module("gymnasium.spaces")

    class GameEnv(pettingzoo.ParallelEnv):
        def __init__(self, game: Game):
            self.game = game
            self.metadata = {"name": type(game).__name__, "is_parallelizable": True, "render_modes": []}
            self.render_mode = None
            self.possible_agents = [f"player_{seat}" for seat in range(game.num_players)]
            self.agents: list[str] = []
            self.action_spaces = {agent: spaces.Discrete(game.num_actions) for agent in self.possible_agents}
            self.observation_spaces = {agent: _space(spaces, game) for agent in self.possible_agents}
            self._key = None

        def observation_space(self, agent: str) -> Any:
            return self.observation_spaces[agent]

        def action_space(self, agent: str) -> Any:
            return self.action_spaces[agent]

        def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[dict, dict]:
            if seed is not None or self._key is None:
                seed = secrets.randbits(31) if seed is None else seed
                require_whole("seed", seed, at_least=0)
                self._key = jax.random.key(seed)
            self._key, self._table = jax.random.split(self._key)
            self._state, seen = _opened(self.game, self._table)
            self.agents, self._round = list(self.possible_agents), 0
            return self._observed(seen), {agent: {} for agent in self.agents}

        def step(self, actions: dict[str, Any]) -> tuple[dict, dict, dict, dict, dict]:
            require(bool(self.agents), "step: the episode is over, or has not begun; call reset")
            self._round += 1
            chosen = jnp.asarray([self._action(actions, agent) for agent in self.agents], jnp.int32)
            self._state, seen, rewards, measures = _stepped(self.game, self._state, chosen, self._table, self._round)
            over, agents = self._round >= self.game.rounds, self.agents
            self.agents = [] if over else agents
            infos = {
                agent: {name: float(values[seat]) for name, values in measures.items()}
                for seat, agent in enumerate(agents)
            }
            earned = {agent: float(reward) for agent, reward in zip(agents, np.asarray(rewards), strict=True)}
            return self._observed(seen), earned, dict.fromkeys(agents, False), dict.fromkeys(agents, over), infos

        def render(self) -> None:
            """Nothing is drawn."""

        def _action(self, actions: dict[str, Any], agent: str) -> int:
            require(agent in actions, f"actions: {agent} has none")
            allowed, action = self.game.num_actions, actions[agent]
            require_whole(f"actions: of {agent}", action, at_least=0)
            require(int(action) < allowed, f"actions: this game has 0 to {allowed - 1}, {agent} took {action}")
            return int(action)

        def _observed(self, seen: Array) -> dict[str, Any]:
            kind = np.int64 if isinstance(self.game.observation_space, Symbol) else np.float32
            return dict(zip(self.possible_agents, np.asarray(seen).astype(kind), strict=True))

    return GameEnv


def _space(spaces: Any, game: Game) -> Any:
    """The space of a player's observations."""
    space = game.observation_space
    if isinstance(space, Symbol):
        return spaces.Discrete(space.size)
    return spaces.Box(-np.inf, np.inf, (space.size,), np.float32)


def _seen(game: Game, state: Any) -> Array:
    """What the player in each seat sees."""
    return jnp.stack([game.observe(state, seat) for seat in range(game.num_players)])


@functools.partial(jax.jit, static_argnums=0)
def _opened(game: Game, table: PRNGKeyArray) -> tuple[Any, Array]:
    """A table before its first round, and what the players see. Chance comes from the key of the table, as in
    `play.tables.MappedTables`.
    """
    state = game.reset(jax.random.fold_in(table, 0))
    return state, _seen(game, state)


@functools.partial(jax.jit, static_argnums=0)
def _stepped(
    game: Game, state: Any, actions: Int[Array, " players"], table: PRNGKeyArray, round_: int | Array
) -> tuple[Any, Array, Array, dict[str, Array]]:
    """The table after a round, what the players see, their rewards, and what is measured, by seat."""
    after, rewards = game.step(state, actions, jax.random.fold_in(table, round_))
    by_seat = [game.measure(state, actions, after, seat) for seat in range(game.num_players)]
    measures = {name: jnp.stack([measured[name] for measured in by_seat]) for name in game.measures}
    return after, _seen(game, after), rewards, measures
