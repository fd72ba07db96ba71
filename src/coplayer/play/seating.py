"""Players made of players: groups that share the tables, copies of one player, one drawn from a population."""

from functools import partial
from itertools import accumulate
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from coplayer.errors import require
from coplayer.games.game import Game
from coplayer.play.player import Player, act
from coplayer.play.trajectory import Episode


class Groups(Player):
    """Several players who share the tables: the first plays at the first `sizes[0]` tables, and so on.

    The `key` of `act` may be a key, a uniform number for each table, or a tuple with the argument for each player.
    """

    players: tuple[Player, ...]
    sizes: tuple[int, ...] = eqx.field(static=True)

    @property
    def takes_uniforms(self) -> bool:
        return all(player.takes_uniforms for player in self.players)

    def check(self, game: Game) -> None:
        for player in self.players:
            player.check(game)

    def split(self, values: Array, axis: int = 0) -> list[Array]:
        """An array with an axis of tables, cut into the parts of the players."""
        return jnp.split(values, list(accumulate(self.sizes))[:-1], axis)

    def begin(self, key, batch):
        require(sum(self.sizes) == batch, f"groups: have {' + '.join(map(str, self.sizes))} tables, got {batch}")
        keys = _streams(key, len(self.players))
        return tuple(p.begin(k, size) for p, k, size in zip(self.players, keys, self.sizes, strict=True))

    def act(self, state, observation, key):
        if isinstance(key, tuple):
            chance = key
        elif key.ndim:
            chance = self.split(key)
        else:
            chance = _streams(key, len(self.players))
        acted = [
            player.act(*of_group)
            for player, *of_group in zip(self.players, state, self.split(observation), chance, strict=True)
        ]
        states, actions, notes = zip(*acted, strict=True)
        return states, jnp.concatenate(actions), notes

    def learn(self, state, episode, notes, key):
        leaves, structure = jax.tree.flatten(episode._replace(beyond=None))
        parts = [self.split(leaf, axis=1) for leaf in leaves]
        ends = self.split(episode.beyond)
        episodes = [
            jax.tree.unflatten(structure, [part[i] for part in parts])._replace(beyond=ends[i])
            for i in range(len(self.players))
        ]
        keys = _streams(key, len(self.players))
        return tuple(
            p.learn(*of_group) for p, *of_group in zip(self.players, state, episodes, notes, keys, strict=True)
        )


class Around(Player):
    """A player around another one, which draws as that one does and can play the games that it can."""

    player: Player

    @property
    def takes_uniforms(self) -> bool:
        return self.player.takes_uniforms

    def check(self, game: Game) -> None:
        self.player.check(game)


class Watched(Around):
    """A player whose actions are among its notes: (its own notes, actions)."""

    def begin(self, key, batch):
        return self.player.begin(key, batch)

    def act(self, state, observation, key):
        state, action, notes = act(self.player, state, observation, key)
        return state, action, (notes, action)

    def learn(self, state, episode, notes, key):
        return self.player.learn(state, episode, notes[0], key)


class Trembling(Around):
    """A player whose hand trembles: with probability `noise` it takes another action than it chose, each of the others
    equally likely. Both players see what was really played.
    """

    noise: Float[Array, ""] | float
    num_actions: int = eqx.field(static=True)

    def check(self, game: Game) -> None:
        super().check(game)
        known = not isinstance(self.noise, jax.Array)
        require(not known or 0 <= self.noise <= 1, f"noise: must be a probability, got {self.noise}")
        require(
            self.num_actions == game.num_actions,
            f"player: its trembling hand knows {self.num_actions} actions, this game has {game.num_actions}",
        )

    @property
    def takes_uniforms(self) -> bool:
        return False

    def begin(self, key, batch):
        return self.player.begin(key, batch)

    def act(self, state, observation, key):
        choosing, trembling, slipping = jax.random.split(key, 3)
        state, action, notes = act(self.player, state, observation, choosing)
        slip = jax.random.randint(slipping, action.shape, 1, self.num_actions)
        trembles = jax.random.uniform(trembling, action.shape) < self.noise
        return state, jnp.where(trembles, (action + slip) % self.num_actions, action), notes

    def learn(self, state, episode, notes, key):
        return self.player.learn(state, episode, notes, key)


class Replicas(Around):
    """`count` independent copies of a player, each at an equal share of the tables, from which it learns."""

    count: int = eqx.field(static=True)

    def begin(self, key, batch):
        require(batch % self.count == 0, f"replicas: {batch} tables cannot be shared equally by {self.count}")
        return self.begin_each(jax.random.split(key, self.count), batch // self.count)

    def begin_each(self, keys: Key[Array, " count"], batch: int) -> Any:
        """The state of all copies, each at `batch` tables and with a key of its own."""
        return jax.vmap(lambda key: self.player.begin(key, batch))(keys)

    def act(self, state, observation, key):
        keys = jax.random.split(key, self.count) if key.ndim == 0 else key.reshape(self.count, -1)
        observed = observation.reshape(self.count, -1, *observation.shape[1:])
        state, action, notes = jax.vmap(partial(act, self.player))(state, observed, keys)
        return state, action.reshape(-1), notes

    def learn(self, state, episode, notes, key):
        def apart(leaf: Array) -> Array:  # [time, tables, ...] -> [time, count, batch, ...]
            return leaf.reshape(leaf.shape[0], self.count, -1, *leaf.shape[2:])

        beyond = episode.beyond.reshape(self.count, -1, *episode.beyond.shape[1:])
        by_copy = jax.tree.map(apart, episode._replace(beyond=None))._replace(beyond=beyond)
        axes = Episode(1, 1, 1, 1, beyond=0)
        keys = jax.random.split(key, self.count)
        return jax.vmap(self.player.learn, in_axes=(0, axes, 1, 0))(state, by_copy, notes, keys)


class DrawnState(NamedTuple):
    """The player that was drawn, and its state."""

    player: Player
    state: Any


class OneOf(Player):
    """One player of a population. It is drawn when the play begins, and stays until its end."""

    population: Player  # every leaf with a leading axis of members
    among: Int[Array, " choices"] | None = None
    """Numbers of the members that may be drawn, each number equally likely; None: all members."""

    @property
    def takes_uniforms(self) -> bool:
        return self.population.takes_uniforms

    def check(self, game: Game) -> None:
        self.population.check(game)

    def begin(self, key, batch):
        members = jax.tree.leaves(self.population)[0].shape[0]
        chosen = jax.random.randint(key, (), 0, members if self.among is None else len(self.among))
        chosen = chosen if self.among is None else self.among[chosen]
        player = jax.tree.map(lambda leaf: leaf[chosen], self.population)
        return DrawnState(player, player.begin(key, batch))

    def act(self, state, observation, key):
        after, action, notes = state.player.act(state.state, observation, key)
        return state._replace(state=after), action, notes

    def learn(self, state, episode, notes, key):
        return state._replace(state=state.player.learn(state.state, episode, notes, key))


class Absent(Player):
    """Keeps the place of players who act elsewhere, for example on another device. Its own actions mean nothing: `meet`
    of `play_rounds` replaces them.
    """

    @property
    def takes_uniforms(self) -> bool:
        return True

    def begin(self, key, batch):
        return None

    def act(self, state, observation, key):
        return None, jnp.zeros(len(observation), jnp.int32), None

    def learn(self, state, episode, notes, key):
        return None


class Opening(Player):
    """A player whose first action is forced: once, when the play begins, not in each episode."""

    player: Player
    action: Int[Array, ""]

    def check(self, game: Game) -> None:
        self.player.check(game)

    def begin(self, key, batch):
        return self.with_state(self.player.begin(key, batch))

    def with_state(self, state: Any) -> Any:
        """The state before the forced action, from a state of the player itself: for a play that goes on from there."""
        return (state, jnp.ones((), bool))

    def act(self, state, observation, key):
        state, first = state
        state, action, notes = self.player.act(state, observation, key)
        return (state, jnp.zeros((), bool)), jnp.where(first, self.action, action), notes

    def learn(self, state, episode, notes, key):
        state, first = state
        return (self.player.learn(state, episode, notes, key), first)


def _streams(key, count: int) -> list:
    return [jax.random.fold_in(key, index) for index in range(count)]
