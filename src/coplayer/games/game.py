"""What a game is: the rules of one table, as pure functions of arrays.

The rules know nothing of batches: the library maps them over many tables at once (see `play.tables`). So they must be
functions that JAX can trace: `jnp.where` instead of `if` on actions or states.

A game is a frozen dataclass whose fields are its settings. So a game can be compared, hashed, written to a file and
read back. A new game is one file (see examples/your_own_game.py).
"""

import dataclasses
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Integer, PRNGKeyArray

from coplayer.errors import CoplayerError, in_short, require, require_whole


@dataclass(frozen=True)
class Symbol:
    """An observation that is one of `size` symbols: an integer from 0 to size - 1."""

    size: int


@dataclass(frozen=True)
class Vector:
    """An observation that is `size` real numbers."""

    size: int


Observation = Int[Array, ""] | Float[Array, " size"]
Observations = Integer[Array, " batch"] | Float[Array, "batch size"]
"""Those of a player at each of a batch of tables."""


@runtime_checkable
class Game(Protocol):
    """The rules of one table with `num_players` seats, whose players move at the same time.

    A game may have one more member, `compared`: names among its `measures`, such as "cleaning". Of these, runs of meta
    agents report how far the two players of an episode lie apart.
    """

    @property
    def num_players(self) -> int:
        """Seats at the table, numbered from 0."""

    @property
    def num_actions(self) -> int:
        """Actions of each player, numbered from 0."""

    @property
    def rounds(self) -> int:
        """Rounds of an episode, the same in each."""

    @property
    def observation_space(self) -> Symbol | Vector:
        """The kind of a player's observations: a symbol out of some, or a vector of some length."""

    @property
    def symmetric(self) -> bool:
        """Whether all seats have the same rules: then it does not matter who sits where."""

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the numbers that `measure` gives for each player and round, such as "cooperation". They are reported
        beside the rewards.
        """

    def reset(self, key: PRNGKeyArray) -> Any:
        """The state before the first round: a pytree of arrays. `key` is for games that begin by chance."""

    def step(
        self, state: Any, actions: Int[Array, " players"], key: PRNGKeyArray
    ) -> tuple[Any, Float[Array, " players"]]:
        """The state after a round, and each player's reward, from the players' actions by seat. The new state has the
        shapes and dtypes of the old one. `key` is for games with chance.
        """

    def observe(self, state: Any, player: int | Int[Array, ""]) -> Observation:
        """What the player in seat `player` sees of a state. Observations are in the first person: where seats are
        alike, nothing in them tells the seat.
        """

    def measure(
        self, before: Any, actions: Int[Array, " players"], after: Any, player: int | Int[Array, ""]
    ) -> dict[str, Float[Array, ""] | Bool[Array, ""]]:
        """The measurements of one round for the player in seat `player`, by the names in `measures`. `before` and
        `after` are the states around the round.
        """


def require_game(value: Any) -> None:
    """Raise `CoplayerError` unless the value has the members of a game; a class has them too, but is none."""
    is_game = isinstance(value, Game) and not isinstance(value, type)
    require(is_game, f"game: must be a game (see coplayer.games.game.Game), got {value!r}")


def check_game(game: Any) -> None:
    """Refuse what is not a game that can be played, by a `CoplayerError` that names the member and what is allowed.

    The rules are traced on abstract arrays; no round is played. Their shapes and dtypes must fit one another.
    """
    name = game.__name__ if isinstance(game, type) else type(game).__name__
    require(not isinstance(game, type), f"game: {name} is a class; give a game of this class, such as {name}()")
    require(isinstance(game, Game), f"game: {name} lacks what a game must have (see games.game.Game)")
    require(
        dataclasses.is_dataclass(game) and type(game).__dataclass_params__.frozen,
        f"game: {name} must be a frozen dataclass",
    )
    try:
        hash(game)
    except TypeError as error:
        raise CoplayerError(f"game: the fields of {name} must be hashable, such as tuples ({error})") from error
    fields = {field.name for field in dataclasses.fields(game)}
    require(
        "name" not in fields, f"game: {name} must not have a setting called name, which config.json has for the game"
    )
    for member in ("num_players", "num_actions", "rounds"):
        require_whole(f"game.{member}", getattr(game, member), at_least=1)
    kind = game.observation_space
    require(
        isinstance(kind, (Symbol, Vector)) and isinstance(kind.size, Integral) and kind.size >= 1,
        f"game.observation_space: must be a Symbol or a Vector of at least 1, got {kind!r}",
    )
    require(isinstance(game.symmetric, bool), f"game.symmetric: must be True or False, got {game.symmetric!r}")
    measures = game.measures
    require(
        isinstance(measures, tuple) and all(isinstance(word, str) and word != "reward" for word in measures),
        f"game.measures: must be a tuple of names other than reward, got {measures!r}",
    )
    _check_rules(game, name)


def _check_rules(game: Game, name: str) -> None:
    """Refuse rules whose arrays do not fit one another."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    actions, seat = jax.ShapeDtypeStruct((game.num_players,), jnp.int32), jax.ShapeDtypeStruct((), jnp.int32)

    def traced(member: str, *arguments: Any) -> Any:
        try:
            return jax.eval_shape(getattr(game, member), *arguments)
        except CoplayerError:
            raise
        except Exception as error:
            raise CoplayerError(f"game: JAX cannot trace {name}.{member} ({in_short(error)})") from error

    def form(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), tree)

    state = traced("reset", key)
    stepped = traced("step", state, actions, key)
    require(isinstance(stepped, tuple) and len(stepped) == 2, f"game: {name}.step must give a state and the rewards")
    after, rewards = stepped
    require(
        form(after) == form(state),
        f"game: {name}.step must give a state of the shapes and dtypes of {name}.reset, {form(state)}, "
        f"got {form(after)}",
    )
    require(
        getattr(rewards, "shape", None) == (game.num_players,),
        f"game: {name}.step must give one reward per player, ({game.num_players},), got {form(rewards)}",
    )
    seen, symbols = traced("observe", state, seat), isinstance(game.observation_space, Symbol)
    shape, kind = ((), jnp.integer) if symbols else ((game.observation_space.size,), jnp.floating)
    require(
        getattr(seen, "shape", None) == shape and jnp.issubdtype(seen.dtype, kind),
        f"game: {name}.observe must give {'an integer' if symbols else 'real numbers'} of shape {shape}, "
        f"got {form(seen)}",
    )
    measured = traced("measure", state, actions, after, seat)
    require(
        isinstance(measured, dict) and set(measured) == set(game.measures),
        f"game: {name}.measure must give the names in measures, {', '.join(game.measures)}, got "
        f"{', '.join(measured) if isinstance(measured, dict) else measured}",
    )
    require(
        all(value.shape == () for value in measured.values()),
        f"game: {name}.measure must give single numbers, got {form(measured)}",
    )
