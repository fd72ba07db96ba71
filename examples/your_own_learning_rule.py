"""A rule of learning of one's own for co-players: one class, and one entry in `cp.RULES`. A COALA-PG agent then learns
to extort those who learn by it: 1.18 per round, where mutual cooperation pays 1 (results/examples). A minute on one
core.

python examples/your_own_learning_rule.py [SEED]
"""

import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp

import coplayer as cp


class Responder(NamedTuple):
    """Cooperates with probability sigmoid(logits[what the other did last]): at first, after C, after D."""

    logits: jax.Array


class Reinforcement(cp.Player):
    """After each inner episode it follows the policy gradient of that episode, and remembers no earlier one."""

    rate: float = 4.0

    def begin(self, key, batch):
        return Responder(0.5 * jax.random.normal(key, (3,)))

    def act(self, state, observation, key):
        seen = jnp.where(observation == 0, 0, 1 + (observation - 1) % 2)  # START, or the other's action of 4 pairs
        chance = cp.uniform(key, observation.shape)
        return state, (chance > jax.nn.sigmoid(state.logits[seen])).astype(jnp.int32), seen

    def learn(self, state, episode, seen, key):  # the episode in its own view, and its notes: what it saw
        to_go = jnp.cumsum(episode.rewards[::-1], axis=0)[::-1]

        def objective(logits):
            logs = jax.nn.log_sigmoid(jnp.where(episode.actions == 0, 1, -1) * logits[seen])
            return (logs * (to_go - to_go.mean(1, keepdims=True))).mean()

        return Responder(state.logits + self.rate * jax.grad(objective)(state.logits))


cp.RULES["reinforcement"] = lambda game, population, updating: Reinforcement()


def main(seed: int = 0) -> None:
    cp.configure()
    settings = cp.adjust(
        cp.preset("coala-shaping"),
        game=cp.prisoners_dilemma(rounds=5),
        naive_rule="reinforcement",
        inner_episodes=10,
        batch=4,
        replicas=64,
        hidden=16,
        learning_rate=5e-3,
        seed=seed,
        iterations=ITERATIONS,
        entropy_from=0,
        phases=1,
    )
    folder = cp.train(settings, Path(tempfile.mkdtemp()) / "own-rule")
    rows = folder.metrics()
    for row in (rows[0], rows[-1]):
        own, other = row["reward_vs_naive"], row["reward_of_naive"]
        print(f"iteration {row['iteration']}: reward per round {own:.2f}, of the learner {other:.2f}")


ITERATIONS = 300

if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
