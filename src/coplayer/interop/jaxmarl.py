"""JaxMARL (https://github.com/FLAIROX/JaxMARL) and SocialJax (https://github.com/cooperativex/SocialJax): their
environments as games of ours, and games of ours as environments of JaxMARL.

    pip install 'coplayer[jaxmarl]'

An environment becomes a game by a class that makes it. The class can be trained on: `--game file.py:Storm`.

    @dataclass(frozen=True)
    class Storm(EnvGame):
        rounds: int = 152

        def make(self):
            return jaxmarl.make("storm_2p", num_inner_steps=self.rounds)

SocialJax is not on the package index. With a checkout of it on the path its `socialjax.make` serves in `make` as well.
Other libraries do too, if their environments have the methods of `Env`.
"""

import abc
import functools
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from coplayer.errors import imported, require
from coplayer.games.game import Game, Symbol, Vector, check_game


@runtime_checkable
class Env(Protocol):
    """What `EnvGame` needs of an environment. Agents are names, which are keys of dicts. Or agents are numbers, as in
    SocialJax, which may be places in arrays and tuples. Actions come in a dict by name, or in an array by number.
    """

    agents: list[Any]

    def reset(self, key: PRNGKeyArray) -> tuple[Any, Any]:
        """The observations of all agents, and the state."""

    def step_env(self, key: PRNGKeyArray, state: Any, actions: Any) -> tuple[Any, Any, Any, dict[str, Any], dict]:
        """Observations, state, rewards, dones and infos after a round, without a new episode after the last."""

    def action_space(self, agent: Any) -> Any:
        """The actions of an agent, `n` of them. An environment may take no `agent` here."""


class TableState(NamedTuple):
    """A table of an `EnvGame` between two rounds."""

    theirs: Any  # the state of the environment
    seen: Float[Array, "players size"]
    over: Bool[Array, ""]  # whether the environment's episode has ended
    infos: dict[str, Float[Array, " players"]]  # those of the last round that are measured; zeros before the first


class _Form(NamedTuple):
    """An environment, and what is known of it before it is played."""

    env: Env
    num_actions: int
    size: int  # numbers in an observation
    named: bool  # whether agents are names, not numbers


@dataclass(frozen=True)
class EnvGame(abc.ABC):
    """An environment of JaxMARL, or of a library like it, as a game. A subclass is a frozen dataclass with `make`.

    Agents sit in seats in their order. An observation is all numbers that an agent sees, in one vector. An episode has
    `rounds` rounds. Where the environment ends its episode earlier, nothing moves any more and all rewards are 0.

    A subclass where all seats have the same rules, with observations in the first person, says `symmetric = True`.
    `infos` names the infos of the environment that are measured; an info is one number, or one per agent. For other
    measures a subclass writes `measures` and `measure`. The environment's states are `before.theirs`, `after.theirs`.
    """

    rounds: int = 100
    """Rounds of an episode."""

    symmetric: ClassVar[bool] = False
    infos: ClassVar[tuple[str, ...]] = ()

    @abc.abstractmethod
    def make(self) -> Any:
        """The environment, with the methods of `Env`. Its own limit of rounds should not be below `rounds`."""

    @property
    def num_players(self) -> int:
        return len(_form(self).env.agents)

    @property
    def num_actions(self) -> int:
        return _form(self).num_actions

    @property
    def observation_space(self) -> Vector:
        return Vector(_form(self).size)

    @property
    def measures(self) -> tuple[str, ...]:
        return self.infos

    def reset(self, key: PRNGKeyArray) -> TableState:
        seen, theirs = _form(self).env.reset(key)
        infos = {name: jnp.zeros(self.num_players) for name in self.infos}
        return TableState(jax.tree.map(jnp.asarray, theirs), self._by_seat(seen), jnp.zeros((), bool), infos)

    def step(
        self, state: TableState, actions: Int[Array, " players"], key: PRNGKeyArray
    ) -> tuple[TableState, Float[Array, " players"]]:
        env, _, _, named = _form(self)
        given = dict(zip(env.agents, actions, strict=True)) if named else actions
        seen, theirs, rewards, dones, infos = env.step_env(key, state.theirs, given)
        measured = {name: self._info(infos, name) for name in self.infos}
        after = TableState(theirs, self._by_seat(seen), jnp.asarray(dones["__all__"]), measured)
        after = jax.tree.map(lambda new, old: jnp.where(state.over, old, _like(new, old)), after, state)
        nothing = {name: jnp.where(state.over, 0.0, values) for name, values in after.infos.items()}
        after = after._replace(infos=nothing)  # measured once, not in each round after the end
        return after, jnp.where(state.over, 0.0, self._by_seat(rewards)[:, 0])

    def observe(self, state: TableState, player: int | Int[Array, ""]) -> Float[Array, " size"]:
        return state.seen[player]

    def measure(self, before, actions, after, player) -> dict[str, Float[Array, ""] | Bool[Array, ""]]:
        return {name: values[player] for name, values in after.infos.items()}

    def _by_seat(self, values: Any) -> Float[Array, "players size"]:
        """What an environment gives for all agents: the numbers of each, in one row per seat."""
        env = _form(self).env
        return jnp.stack([_flat(values, seat, agent) for seat, agent in enumerate(env.agents)])

    def _info(self, infos: dict[str, Any], name: str) -> Float[Array, " players"]:
        known = ", ".join(map(str, infos)) or "nothing"
        require(name in infos, f"game.infos: {name} is not among those of the environment, which are {known}")
        value = infos[name]
        if isinstance(value, Mapping):
            return self._by_seat(value)[:, 0]
        return jnp.broadcast_to(jnp.ravel(jnp.asarray(value, jnp.float32)), (self.num_players,))


def _flat(values: Any, seat: int, agent: Any) -> Float[Array, " size"]:
    """All numbers of one agent, from a dict or a tuple by agent, or from arrays with an axis of agents."""
    if isinstance(values, Mapping) and agent in values:
        own = values[agent]
    elif isinstance(values, tuple | list):
        own = values[seat]
    else:
        own = jax.tree.map(lambda leaf: jnp.asarray(leaf)[seat], values)
    return jnp.concatenate([jnp.ravel(leaf).astype(jnp.float32) for leaf in jax.tree.leaves(own)])


def _like(new: Any, old: Array) -> Array:
    """An array of the dtype that it had before the first round."""
    new = jnp.asarray(new)
    return new if new.dtype == old.dtype else new.astype(old.dtype)


@functools.cache
def _form(game: EnvGame) -> _Form:
    """The environment of a game, made once."""
    with jax.ensure_compile_time_eval():
        env = game.make()
    name = type(env).__name__
    lacking = [member for member in ("agents", "reset", "step_env", "action_space") if not hasattr(env, member)]
    require(not lacking, f"game: {name}, which {type(game).__name__}.make gives, lacks {', '.join(lacking)}")
    seen, _ = jax.eval_shape(env.reset, jax.eval_shape(lambda: jax.random.key(0)))
    named = all(isinstance(agent, str) for agent in env.agents)
    sizes = [
        jax.eval_shape(lambda values, seat=seat, agent=agent: _flat(values, seat, agent), seen).size
        for seat, agent in enumerate(env.agents)
    ]
    require(len(set(sizes)) == 1, f"game: the agents of {name} see different numbers of values, {sizes}")
    actions = [_actions(env, agent, name) for agent in env.agents]
    require(len(set(actions)) == 1, f"game: the agents of {name} have different numbers of actions, {actions}")
    return _Form(env, actions[0], sizes[0], named)


def _actions(env: Env, agent: Any, name: str) -> int:
    """The number of an agent's actions."""
    try:
        space = env.action_space(agent)
    except TypeError:  # SocialJax has one for all agents
        space = env.action_space()
    require(hasattr(space, "n"), f"game: the actions of {name} must be whole numbers, got {type(space).__name__}")
    return int(space.n)


def library() -> Any:
    """The module `jaxmarl`. Raises `CoplayerError` where it is not installed."""
    return imported("jaxmarl", "jaxmarl")


class GameState(NamedTuple):
    """A game of ours between two rounds, as JaxMARL has states."""

    table: Any
    step: Int[Array, ""]  # rounds played
    done: Bool[Array, ""]


def as_env(game: Game) -> Any:
    """The game as a `jaxmarl` environment, a `MultiAgentEnv`, for JaxMARL's learners and wrappers.

    The agents are "agent_0", "agent_1" and so on, by seat. An observation is a float32 vector; a symbol is told as a
    row of zeros with a 1 in its place. All agents are done after `game.rounds` rounds. The infos have what the game
    measures, one number per agent. Raises `CoplayerError` for a game that cannot be played, and where JaxMARL is not
    installed.
    """
    library()
    check_game(game)
    return _env_class()(game)


@functools.cache
def _env_class() -> type:
    base = importlib.import_module("jaxmarl.environments.multi_agent_env").MultiAgentEnv
    spaces = importlib.import_module("jaxmarl.environments.spaces")

    class GameEnv(base):
        def __init__(self, game: Game):
            super().__init__(num_agents=game.num_players)
            self.game = game
            size = (game.observation_space.size,)
            bounds = (0.0, 1.0) if isinstance(game.observation_space, Symbol) else (-jnp.inf, jnp.inf)
            self.observation_spaces = {agent: spaces.Box(*bounds, size, jnp.float32) for agent in self.agents}
            self.action_spaces = {agent: spaces.Discrete(game.num_actions) for agent in self.agents}

        @property
        def name(self) -> str:
            return type(self.game).__name__

        @property
        def agent_classes(self) -> dict[str, list[str]]:
            return {"player": self.agents}

        @functools.partial(jax.jit, static_argnums=0)
        def reset(self, key: PRNGKeyArray) -> tuple[dict[str, Array], GameState]:
            state = GameState(self.game.reset(key), jnp.zeros((), jnp.int32), jnp.zeros((), bool))
            return self.get_obs(state), state

        def step_env(self, key: PRNGKeyArray, state: GameState, actions: dict[str, Any]) -> tuple:
            game, seats = self.game, range(self.game.num_players)
            chosen = jnp.stack([jnp.asarray(actions[agent], jnp.int32) for agent in self.agents])
            table, rewards = game.step(state.table, chosen, key)
            step = state.step + 1
            after = GameState(table, step, step >= game.rounds)
            by_seat = [game.measure(state.table, chosen, table, seat) for seat in seats]
            infos = {name: jnp.stack([one[name] for one in by_seat]).astype(jnp.float32) for name in game.measures}
            dones = dict.fromkeys([*self.agents, "__all__"], after.done)
            return self.get_obs(after), after, dict(zip(self.agents, rewards, strict=True)), dones, infos

        def get_obs(self, state: GameState) -> dict[str, Array]:
            space = self.game.observation_space
            seen = [self.game.observe(state.table, seat) for seat in range(self.game.num_players)]
            if isinstance(space, Symbol):
                seen = [jax.nn.one_hot(symbol, space.size) for symbol in seen]
            return dict(zip(self.agents, seen, strict=True))

        def get_avail_actions(self, state: GameState) -> dict[str, Array]:
            return {agent: jnp.ones(self.game.num_actions, bool) for agent in self.agents}

    return GameEnv
