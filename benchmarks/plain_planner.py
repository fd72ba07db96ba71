"""The planner as one would write it first: one rollout, one scan, vmap for all else.

Rewards and actions are sampled by `jax.random.categorical`, every rollout of every action on its own random numbers.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from coplayer.games.matrix import MatrixGame, observe
from coplayer.networks.world_model import RoundModel


class PlainModel(eqx.Module):
    """`RoundModel` for one episode, from equinox's own layers."""

    cell: eqx.nn.GRUCell
    head: eqx.nn.Linear
    game: MatrixGame = eqx.field(static=True)

    def __init__(self, model: RoundModel):
        """With the weights of `model`."""
        gru, game = model.core, model.game
        key = jax.random.key(0)
        self.game = game
        self.cell = eqx.tree_at(
            lambda cell: (cell.weight_ih, cell.weight_hh, cell.bias, cell.bias_n),
            eqx.nn.GRUCell(game.observation_space.size, gru.hidden, key=key),
            (gru.input_weights.T, gru.hidden_weights.T, gru.bias, gru.candidate_bias),
        )
        self.head = eqx.tree_at(
            lambda head: (head.weight, head.bias),
            eqx.nn.Linear(gru.hidden, model.head_bias.size, key=key),
            (model.head_weights, model.head_bias),
        )

    def heads(self, state: Float[Array, " hidden"]):
        """Logits of one's own action, logits of the reply to each, predicted rewards of each joint action."""
        n = self.game.num_actions
        outputs = self.head(jax.nn.silu(state))
        return outputs[:n], outputs[n : n + n * n].reshape(n, n), outputs[n + n * n :].reshape(n, n)

    def observe(self, state: Float[Array, " hidden"], joint: Int[Array, ""]) -> Float[Array, " hidden"]:
        return self.cell(jax.nn.one_hot(observe(joint), self.game.observation_space.size), state)


def rollout(
    model: PlainModel, state: Float[Array, " hidden"], action: Int[Array, ""], key: PRNGKeyArray, horizon: int
) -> Float[Array, ""]:
    """Summed reward of one imagined continuation that starts with `action`."""

    def step(state, at):
        index, key = at
        own_key, reply_key = jax.random.split(key)
        logits, replies, rewards = model.heads(state)
        own = jnp.where(index == 0, action, jax.random.categorical(own_key, logits))
        reply = jax.random.categorical(reply_key, replies[own])
        return model.observe(state, model.game.joint(own, reply)), rewards[own, reply]

    _, rewards = jax.lax.scan(step, state, (jnp.arange(horizon), jax.random.split(key, horizon)))
    return rewards.sum()


def estimate_q(
    model: PlainModel, states: Float[Array, "batch hidden"], key: PRNGKeyArray, *, rollouts: int, horizon: int
) -> Float[Array, "actions batch"]:
    """Mean of `rollouts` rollouts for each state and first action."""
    actions = jnp.arange(model.game.num_actions)
    keys = jax.random.split(key, (actions.size, states.shape[0], rollouts))
    one = lambda state, action, key: rollout(model, state, action, key, horizon)  # noqa: E731
    over_rollouts = jax.vmap(one, in_axes=(None, None, 0))
    over_states = jax.vmap(over_rollouts, in_axes=(0, None, 0))
    return jax.vmap(over_states, in_axes=(None, 0, 0))(states, actions, keys).mean(-1)
