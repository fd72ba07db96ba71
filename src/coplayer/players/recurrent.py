"""A recurrent actor-critic as a player, in matches and in training."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from coplayer.errors import require
from coplayer.games.game import Game
from coplayer.networks.actor_critic import ActorCritic
from coplayer.networks.layers import sample
from coplayer.play.player import Player, uniform
from coplayer.players.memory1 import identity_of


class Memory(NamedTuple):
    """What the player remembers when it is about to see the next observation."""

    state: PyTree
    opens: Bool[Array, ""]  # whether the identity comes with it


class RecurrentPlayer(Player):
    """Samples its actions from the policy of an `ActorCritic`. Its notes are the network's `Trace`.

    `identity`: of its tabular co-players, for a network that takes identities (see `told`); None: its co-players are
    learners. A `lasting` player remembers all episodes of a match.
    """

    network: ActorCritic
    identity: Float[Array, "identity batch"] | None = None
    lasting: bool = eqx.field(static=True, default=False)

    @property
    def takes_uniforms(self) -> bool:
        return True

    def check(self, game: Game) -> None:
        kind = type(self.network).__name__
        require(isinstance(self.network, ActorCritic), f"player: its network must be an ActorCritic, got {kind}")
        actions, space = self.network.num_actions, self.network.observation_space
        require(
            actions == game.num_actions,
            f"player: its network is made for {actions} actions, this game has {game.num_actions}",
        )
        require(
            space == game.observation_space,
            f"player: its network is made for observations of {space}, this game has {game.observation_space}",
        )

    def told(self, probabilities: Float[Array, "batch observations actions"]) -> "RecurrentPlayer":
        """The player who knows the memory-1 co-player of each of its next `batch` episodes, if its network takes
        identities; itself otherwise.
        """
        if not self.network.identity_size:
            return self
        return RecurrentPlayer(self.network, identity_of(jnp.moveaxis(probabilities, 0, -1)), self.lasting)

    def begin(self, key, batch):
        return Memory(self.network.initial_state(batch), jnp.ones((), bool))

    def act(self, state, observation, key):
        identity = None if self.identity is None else jnp.where(state.opens, self.identity, 0.0)
        now = self.network.step(state.state, observation, identity)
        action = sample(jax.nn.softmax(now.outputs[:-1], axis=0), uniform(key, now.outputs.shape[1:]))
        return Memory(now.state, jnp.zeros((), bool)), action, now

    def learn(self, state, episode, notes, key):
        return state if self.lasting else self.begin(key, episode.actions.shape[1])
