"""Naive learners: players that see one episode at a time, and learn from it before the next."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Int

from coplayer.errors import require_kind
from coplayer.games.game import Game
from coplayer.learning import a2c
from coplayer.learning.optimisation import TrainState, new_state
from coplayer.networks.actor_critic import ActorCritic
from coplayer.play.player import Player
from coplayer.play.seating import OneOf
from coplayer.players.recurrent import Memory, RecurrentPlayer


class NaiveState(NamedTuple):
    """A naive learner between two rounds."""

    learner: TrainState
    memory: Memory
    episode: Int[Array, ""]  # episodes it has learned from


class NaiveLearner(Player):
    """Plays its network's policy, and makes one A2C update after each episode, on all its tables together. It begins
    with the weights of `network`, and remembers no earlier episode.
    """

    network: ActorCritic
    updating: a2c.Updating = eqx.field(static=True)

    @property
    def takes_uniforms(self) -> bool:
        return True

    def check(self, game: Game) -> None:
        RecurrentPlayer(self.network).check(game)
        require_kind("player: its updating", self.updating, a2c.Updating)

    def begin(self, key, batch):
        memory = RecurrentPlayer(self.network).begin(key, batch)
        return NaiveState(new_state(self.network, self.updating.optimiser), memory, jnp.zeros((), jnp.int32))

    def act(self, state, observation, key):
        memory, action, trace = RecurrentPlayer(state.learner.network).act(state.memory, observation, key)
        return state._replace(memory=memory), action, trace

    def learn(self, state, episode, notes, key):
        network, batch = state.learner.network, episode.actions.shape[1]
        played = a2c.Batch(episode.actions, episode.rewards, episode.beyond, network.no_identity(batch), notes)
        learner, _, _ = a2c.update(state.learner, played, batch, self.updating, state.episode)
        return NaiveState(learner, RecurrentPlayer(network).begin(key, batch), state.episode + 1)


Rule = Callable[[Game, ActorCritic, a2c.Updating], Player]


def a2c_rule(game: Game, population: ActorCritic, updating: a2c.Updating) -> Player:
    """One of a population of naive learners by A2C; `population` has a leading axis of members in every leaf."""
    return OneOf(NaiveLearner(population, updating))


RULES: dict[str, Rule] = {"a2c": a2c_rule}
"""Rules of learning for co-players, by the names that `--naive-rule` takes. A rule is a function of the game, a
population of first networks, and the settings of the update. The rule returns a player that learns in `learn`.
"""
