"""The batched co-player shaping game (Meulemans et al. 2025, section 3): co-players that learn are part of the world.

Four axes, with one meaning everywhere:

    T  rounds of an inner episode
    M  inner episodes of a meta-trajectory; the agent's memory runs through all M * T rounds
    B  games played side by side with one co-player, who learns from all B of them after each inner episode
    R  replicas: independent co-players, each with B games of its own

A co-player is whatever has the three pure functions of `CoPlayer`, so any rule of learning can sit there; the game is
any `MatrixGame` (see examples/your_own_learning_rule.py).
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from coplayer.games.matrix import START, MatrixGame, observe
from coplayer.learning import a2c
from coplayer.networks.actor_critic import ActorCritic
from coplayer.players.recurrent import act


class CoPlayer(Protocol):
    """One co-player and its B games. Its state, a pytree, holds all that changes: weights, optimiser, memory."""

    def begin(self, key: PRNGKeyArray, batch: int) -> Any:
        """The state before the first inner episode of a meta-trajectory."""

    def act(
        self, state: Any, observation: Int[Array, " batch"], uniform: Float[Array, " batch"]
    ) -> tuple[Any, Int[Array, " batch"], Any]:
        """The state after `observation` (START opens every inner episode), an action for each game, and what `learn`
        should know of this round beside the actions.
        """

    def learn(self, state: Any, joint: Int[Array, "rounds batch"], notes: Any) -> Any:
        """The state after an inner episode, in the co-player's view; `notes` has a leading axis of rounds."""


class NaiveState(NamedTuple):
    """A naive learner within a meta-trajectory."""

    learner: a2c.LearnerState
    memory: Any
    episode: Int[Array, ""]

    @property
    def network(self) -> ActorCritic:
        return self.learner.network


class NaiveLearner(eqx.Module):
    """Sees one inner episode at a time, and makes one A2C update after each, on its B trajectories. Begins every
    meta-trajectory as one of a population of initial networks.
    """

    population: ActorCritic  # every leaf with a leading axis of members
    updating: a2c.Updating = eqx.field(static=True)

    def begin(self, key, batch):
        chosen = jax.random.randint(key, (), 0, jax.tree.leaves(self.population)[0].shape[0])
        network = jax.tree.map(lambda leaf: leaf[chosen], self.population)
        learner = a2c.LearnerState(network, a2c.optimiser(self.updating.max_gradient_norm).init(network), key)
        return NaiveState(learner, network.initial_state(batch), jnp.zeros((), jnp.int32))

    def act(self, state, observation, uniform):
        now, action = act(state.network, state.memory, observation, uniform)
        return state._replace(memory=now.state), action, now

    def learn(self, state, joint, notes):
        network, batch = state.network, joint.shape[1]
        rewards = network.game.reward(joint, 1)
        played = a2c.Batch(joint, rewards, network.no_context(batch), notes)
        learner, _, _ = a2c.update(state.learner, played, batch, self.updating, state.episode)
        return NaiveState(learner, network.initial_state(batch), state.episode + 1)


class LastingState(NamedTuple):
    """Another meta agent within a meta-trajectory."""

    network: ActorCritic
    memory: Any


class LastingAgent(eqx.Module):
    """Another meta agent, drawn from all of them but `own`: it does not learn, and remembers the whole
    meta-trajectory.
    """

    networks: ActorCritic  # every leaf with a leading axis of agents
    own: Int[Array, ""]

    def begin(self, key, batch):
        others = jax.tree.leaves(self.networks)[0].shape[0] - 1
        chosen = jax.random.randint(key, (), 0, others)
        network = jax.tree.map(lambda leaf: leaf[chosen + (chosen >= self.own)], self.networks)
        return LastingState(network, network.initial_state(batch))

    def act(self, state, observation, uniform):
        now, action = act(state.network, state.memory, observation, uniform)
        return state._replace(memory=now.state), action, None

    def learn(self, state, joint, notes):
        return state


class ForgetfulAgent(LastingAgent):
    """The same of agents who begin each inner episode without a memory."""

    def learn(self, state, joint, notes):
        return state._replace(memory=state.network.initial_state(joint.shape[1]))


class Group(NamedTuple):
    """Some replicas of one kind of co-player."""

    co_player: CoPlayer
    replicas: int


class MetaTrajectories(NamedTuple):
    """What the agent went through; the replicas of all groups one after the other."""

    joint: Int[Array, "time replicas batch"]  # in its own view
    logits: Float[Array, "actions time replicas batch"]
    values: Float[Array, "time replicas batch"]


def observations(joint: Int[Array, "time *batch"], rounds: int) -> Int[Array, "time *batch"]:
    """What was observed before each round: START where an inner episode of `rounds` rounds opens."""
    before = jnp.concatenate([jnp.full((1, *joint.shape[1:]), START), observe(joint[:-1])])
    opens = (jnp.arange(joint.shape[0]) % rounds == 0).reshape(-1, *[1] * (joint.ndim - 1))
    return jnp.where(opens, START, before)


def play(
    game: MatrixGame,
    agent: ActorCritic,
    groups: Sequence[Group],
    key: PRNGKeyArray,
    *,
    batch: int,
    inner_episodes: int,
    lasting: bool = True,
) -> MetaTrajectories:
    """Meta-trajectories of one agent, in seat 0, with all the groups' co-players. `game.rounds` is T. An agent that is
    not `lasting` begins each inner episode without a memory.
    """
    replicas = sum(group.replicas for group in groups)
    draws, begin = jax.random.split(key)
    keys = jax.random.split(begin, replicas)
    shape = (replicas, batch)
    start = jnp.full(shape, START)

    def by_group(array: Array, axis: int = 0) -> list[Array]:
        ends = list(accumulate(group.replicas for group in groups))[:-1]
        return jnp.split(array, ends, axis)

    def step(carry, uniforms):
        memory, others, observation, other_observation = carry
        now, own = act(agent, memory, observation.reshape(-1), uniforms[0].reshape(-1))
        seen, chance = by_group(other_observation), by_group(uniforms[1])
        acted = [jax.vmap(group.co_player.act)(*at) for group, *at in zip(groups, others, seen, chance, strict=True)]
        others, replies, notes = zip(*acted, strict=True)
        joint = game.joint(own.reshape(shape), jnp.concatenate(replies))
        outputs = now.outputs.reshape(-1, *shape)
        return (now.state, others, observe(joint), observe(game.swap(joint))), (joint, outputs, notes)

    def inner_episode(carry, index):
        memory, others = carry
        memory = memory if lasting else agent.initial_state(replicas * batch)
        uniforms = jax.random.uniform(jax.random.fold_in(draws, index), (game.rounds, 2, *shape))
        (memory, others, _, _), (joint, outputs, notes) = jax.lax.scan(step, (memory, others, start, start), uniforms)
        swapped = by_group(game.swap(joint), axis=1)
        others = tuple(
            jax.vmap(group.co_player.learn, in_axes=(0, 1, 1))(*at)
            for group, *at in zip(groups, others, swapped, notes, strict=True)
        )
        return (memory, others), (joint, outputs)

    others = tuple(
        jax.vmap(lambda key, group=group: group.co_player.begin(key, batch))(keys)
        for group, keys in zip(groups, by_group(keys), strict=True)
    )
    first = (agent.initial_state(replicas * batch), others)
    _, (joint, outputs) = jax.lax.scan(inner_episode, first, jnp.arange(inner_episodes))
    joint, outputs = (leaf.reshape(-1, *leaf.shape[2:]) for leaf in (joint, outputs))  # [M, T, ...] -> [M * T, ...]
    return MetaTrajectories(joint, jnp.moveaxis(outputs[:, :-1], 1, 0), outputs[:, -1])
