"""Any rule of learning as a co-player: by COALA-PG a meta agent learns to extort one, at more than the 1 a round of
mutual cooperation. Half a minute on one core.

python examples/your_own_learning_rule.py
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

import coplayer as cp

GAME = cp.prisoners_dilemma(rounds=5)
BATCH, REPLICAS, INNER_EPISODES, ITERATIONS = 4, 64, 10, 1001


class Responder(NamedTuple):
    """Cooperates with probability sigmoid(logits[what the other did last]): at first, after C, after D."""

    logits: jax.Array


class Reinforcement(eqx.Module):
    """After each inner episode it follows the policy gradient of that episode, without a memory of earlier ones."""

    rate: float = 4.0

    def begin(self, key, batch):
        return Responder(0.5 * jax.random.normal(key, (3,)))

    def act(self, state, observation, uniform):
        seen = jnp.where(observation == 0, 0, 1 + (observation - 1) % 2)  # START, or the other's action of 4 pairs
        return state, (uniform > jax.nn.sigmoid(state.logits[seen])).astype(jnp.int32), seen

    def learn(self, state, joint, seen):  # joint: [rounds, batch], in its own view
        rewards = GAME.reward(joint)
        to_go = jnp.cumsum(rewards[::-1], axis=0)[::-1]

        def objective(logits):
            logs = jax.nn.log_sigmoid(jnp.where(GAME.own_action(joint) == 0, 1, -1) * logits[seen])
            return (logs * (to_go - to_go.mean(1, keepdims=True))).mean()

        return Responder(state.logits + self.rate * jax.grad(objective)(state.logits))


def iterate(agent, state, optimiser, key):
    """Meta-trajectories with new co-players, and a step up the gradient of the mean reward."""
    group = cp.shaping.Group(Reinforcement(), REPLICAS)
    played = cp.shaping.play(GAME, agent, [group], key, batch=BATCH, inner_episodes=INNER_EPISODES)
    rewards, end = GAME.reward(played.joint), jnp.zeros(BATCH)  # [time, replicas, batch]

    def of_replica(rewards):
        no_value = jnp.zeros_like(rewards)
        return cp.coala.advantages(
            rewards, no_value, end, episode_length=GAME.rounds, gamma=1.0, gae_lambda=1.0, estimator=cp.coala.COALA
        )

    weights = jax.vmap(of_replica, 1, 1)(rewards) * cp.coala.policy_scale(cp.coala.COALA, BATCH)
    weights = weights - weights.mean((1, 2), keepdims=True)  # by time alone: a baseline

    def loss(agent):
        seen = cp.shaping.observations(played.joint, GAME.rounds)
        logits, _ = agent.unroll(seen.reshape(len(seen), -1))
        logs = jax.nn.log_softmax(logits, axis=0)
        taken = jnp.take_along_axis(logs, GAME.own_action(played.joint).reshape(1, len(seen), -1), axis=0)[0]
        return -(taken * weights.reshape(taken.shape)).mean() + 0.05 * (jnp.exp(logs) * logs).sum(0).mean()

    steps, state = optimiser.update(jax.grad(loss)(agent), state)
    by_episode = [side.reshape(INNER_EPISODES, -1).mean(1) for side in (rewards, GAME.reward(GAME.swap(played.joint)))]
    return optax.apply_updates(agent, steps), state, by_episode


def main() -> None:
    cp.configure()
    agent = cp.ActorCritic(GAME, 16, zero_heads=True, key=jax.random.key(0))
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(5e-3))
    state, step = optimiser.init(agent), jax.jit(iterate, static_argnums=2)
    for iteration in range(ITERATIONS):
        agent, state, (own, other) = step(agent, state, optimiser, jax.random.key(iteration))
        if iteration % 200 == 0:
            print(f"iteration {iteration}: reward a round {own.mean():.2f}, of the learner {other.mean():.2f}")
    print("by inner episode: " + " ".join(f"{value:.2f}" for value in own))


if __name__ == "__main__":
    main()
