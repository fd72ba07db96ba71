"""A trained recurrent actor as a player."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from coplayer.games.matrix import START, observe
from coplayer.networks.actor_critic import ActorCritic, Trace
from coplayer.players.memory1 import sample
from coplayer.pools import tabular


class Memory(NamedTuple):
    """What the player remembers when it is about to act."""

    state: PyTree
    logits: Float[Array, "actions batch"]
    before: PyTree | None  # of a lasting player: the state before the last observation


def act(
    network: ActorCritic,
    state: PyTree,
    observation: Int[Array, " batch"],
    uniform: Float[Array, " batch"],
    context: Float[Array, "context batch"] | None = None,
) -> tuple[Trace, Int[Array, " batch"]]:
    """One round of a policy in training: its step, and the actions drawn with these uniform numbers."""
    now = network.step(state, observation, context)
    return now, sample(jax.nn.softmax(now.outputs[:-1], axis=0), uniform)


class RecurrentPlayer(eqx.Module):
    """Samples its actions from the policy of an `ActorCritic`. `context` names its co-players, where the network takes
    that and where they are tabular (see `told`); without it they are learners. A `lasting` player remembers all inner
    episodes of a match.
    """

    network: ActorCritic
    context: Float[Array, "context batch"] | None = None
    lasting: bool = eqx.field(static=True, default=False)

    @property
    def num_actions(self) -> int:
        return self.network.game.num_actions

    def told(self, probabilities: Float[Array, "batch observations actions"]) -> "RecurrentPlayer":
        """The player who knows the memory-1 co-player of each of its next `batch` episodes, if its network takes a
        context; itself otherwise.
        """
        if not self.network.context:
            return self
        return RecurrentPlayer(self.network, tabular.identity(jnp.moveaxis(probabilities, 0, -1)), self.lasting)

    def initial_state(self, batch: int) -> Memory:
        return self._see(self.network.initial_state(batch), jnp.full((batch,), START), self.context)

    def act(self, state: Memory, key: PRNGKeyArray) -> Int[Array, " batch"]:
        policy = jax.nn.softmax(state.logits, axis=0)
        return sample(policy, jax.random.uniform(key, policy.shape[1:]))

    def update(self, state: Memory, joint: Int[Array, " batch"], reward: Float[Array, " batch"]) -> Memory:
        return self._see(state.state, observe(joint))

    def next_episode(self, state: Memory) -> Memory:
        batch = state.logits.shape[1]
        if not self.lasting:
            return self.initial_state(batch)
        # START takes the place of what the last round came to, as in training (see `shaping.observations`).
        return self._see(state.before, jnp.full((batch,), START))

    def _see(self, state, observation, context=None) -> Memory:
        now = self.network.step(state, observation, context)
        return Memory(now.state, now.outputs[:-1], state if self.lasting else None)
