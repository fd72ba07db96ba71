"""Planning by Monte Carlo rollouts inside a sequence model, and the improved policy it gives (Weis et al. 2026, 3.1).

    Q(x, a) = mean over rollouts of the sum of the next `horizon` imagined rewards, own first action forced to a
    pi(a | x)  proportional to  p(a | x) exp(Q(x, a) / temperature)

After the forced action a rollout samples the co-player and one's own prior in turn. There is no terminal value, and the
rollout ignores the end of the episode.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from coplayer.errors import require
from coplayer.networks.world_model import WorldModel
from coplayer.players.memory1 import sample
from coplayer.pools import tabular


class PlannerSettings(NamedTuple):
    """How Q is estimated. The two switches leave its mean as it is and only lower its variance."""

    rollouts: int
    horizon: int
    temperature: float
    expected_rewards: bool  # average each imagined round's reward over both actions (needs RoundModel)
    common_random_numbers: bool  # the same draws for every candidate action


def estimate_q(model: WorldModel, state, key: PRNGKeyArray, settings: PlannerSettings) -> Float[Array, "actions batch"]:
    """Monte Carlo estimate of Q for each state and first action, in units of summed reward."""
    require(
        not settings.expected_rewards or hasattr(model, "expected_reward"),
        f"expected_rewards: a {type(model).__name__} cannot give them; use a RoundModel",
    )
    actions = model.game.num_actions
    batch = jax.tree.leaves(state)[0].shape[0]
    shape = (actions, settings.rollouts, batch)
    shared = (1 if settings.common_random_numbers else actions, settings.rollouts, batch)

    def uniforms(step: int | Int[Array, ""]) -> tuple[Array, Array]:
        """Draws for one's own action and for the co-player's."""
        draws = jax.random.uniform(jax.random.fold_in(key, step), (2, *shared))
        own, reply = jnp.broadcast_to(draws, (2, *shape)).reshape(2, -1)
        return own, reply

    def spread(leaf: Array) -> Array:
        return jnp.broadcast_to(leaf, (actions, settings.rollouts, *leaf.shape)).reshape(-1, *leaf.shape[1:])

    first = jnp.repeat(jnp.arange(actions), settings.rollouts * batch)
    states, reward = model.imagine(jax.tree.map(spread, state), first, uniforms(0)[1])
    if settings.expected_rewards:
        expected = model.expected_reward(state)
        reward = jnp.broadcast_to(expected[:, None], shape).reshape(-1)

    def step(carry, index):
        states, total = carry
        prior = jax.nn.softmax(model.action_logits(states), axis=0)
        own, reply = uniforms(index)
        following, reward = model.imagine(states, sample(prior, own), reply)
        if settings.expected_rewards:
            reward = (prior * model.expected_reward(states)).sum(0)
        return (following, total + reward), None

    steps = jnp.arange(1, settings.horizon)
    if settings.expected_rewards and settings.horizon > 1:  # the last round needs its states only, not the next ones
        (states, total), _ = jax.lax.scan(step, (states, reward), steps[:-1])
        prior = jax.nn.softmax(model.action_logits(states), axis=0)
        total = total + (prior * model.expected_reward(states)).sum(0)
    else:
        (_, total), _ = jax.lax.scan(step, (states, reward), steps)
    return total.reshape(shape).mean(1)


def improved_policy(
    logits: Float[Array, "actions batch"], q: Float[Array, "actions batch"], temperature: float
) -> Float[Array, "actions batch"]:
    """Log-probabilities of the improved policy: prior times exp(Q / temperature), normalised. Only differences of Q
    enter, so a small temperature loses neither the prior of actions that tie nor the range of floats.
    """
    return jax.nn.log_softmax(jax.nn.log_softmax(logits, axis=0) + (q - q.max(0)) / temperature, axis=0)


class PPIPlayer(eqx.Module):
    """A player that plans in its sequence model before every action. `context` names its co-players, where the model
    takes that and where they are tabular (see `told`); without it they are learners.
    """

    model: WorldModel
    settings: PlannerSettings = eqx.field(static=True)
    context: Float[Array, "context batch"] | None = None

    @property
    def num_actions(self) -> int:
        return self.model.game.num_actions

    def told(self, probabilities: Float[Array, "batch observations actions"]) -> "PPIPlayer":
        """The player who knows the memory-1 co-player of each of its next `batch` episodes, if its model takes a
        context; itself otherwise.
        """
        if not self.model.context:
            return self
        return PPIPlayer(self.model, self.settings, tabular.identity(jnp.moveaxis(probabilities, 0, -1)))

    def initial_state(self, batch: int):
        return self.model.initial_state(batch, self.context)

    def act(self, state, key: PRNGKeyArray) -> Int[Array, " batch"]:
        logits = self.model.action_logits(state)
        q = estimate_q(self.model, state, jax.random.fold_in(key, 0), self.settings)
        policy = jnp.exp(improved_policy(logits, q, self.settings.temperature))
        return sample(policy, jax.random.uniform(jax.random.fold_in(key, 1), logits.shape[1:]))

    def update(self, state, joint: Int[Array, " batch"], reward: Float[Array, " batch"]):
        return self.model.observe(state, joint, reward)
