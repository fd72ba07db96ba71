"""An estimator of one's own for learning-aware agents: one function, and one entry in `cp.ESTIMATORS`.

Advantage Alignment (Duque et al. 2025, arXiv 2406.14662) adds to the own advantage the co-player's, weighted by how
well things went so far. What helps the co-player becomes likely after rounds that were better than expected:

    A*_t = A_t + beta gamma (sum over k < t of gamma^(t - k) A_k) B_t

with A the own advantages, B the co-player's. Two such agents, trained against each other, cooperate with each other in
two thirds of the rounds. With always-defect they cooperate in the first round alone (results/examples). A minute on two
cores.

python examples/advantage_alignment.py [SEED]
"""

import sys
import tempfile
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp

import coplayer as cp
from coplayer.learning.returns import lambda_returns


def advantage_alignment(outcome, *, episode_length, gamma, gae_lambda, beta=1.0):
    """The weights of the policy gradient, `[time, batch]`. Both players' advantages are discounted rewards to go, less
    their mean over the games in each round.
    """

    def advantages(rewards):
        to_go = lambda_returns(rewards, jnp.zeros_like(rewards), jnp.zeros(rewards.shape[1]), gamma=gamma, lambda_=1.0)
        return to_go - to_go.mean(1, keepdims=True)

    own, others = advantages(outcome.rewards), advantages(outcome.other_rewards)

    def step(past, advantage):
        return gamma * (past + advantage), past

    _, past = jax.lax.scan(step, jnp.zeros(own.shape[1]), own)
    return own + beta * gamma * past * others


def register(beta: float = 1.0) -> None:
    """Make the estimator known as `advantage_alignment`."""
    weights = partial(advantage_alignment, beta=beta)
    cp.ESTIMATORS["advantage_alignment"] = cp.Estimator("Advantage Alignment", weights, against_agents=weights)


def main(seed: int = 0) -> None:
    cp.configure()
    register(beta=10.0)
    game = cp.prisoners_dilemma(rounds=16)
    settings = cp.adjust(
        cp.preset("coala-ipd"),
        game=game,
        methods=("advantage_alignment",),
        inner_episodes=1,
        naive_share=0.0,
        meta_agents=2,
        replicas=8,
        gamma=0.9,
        reward_scale=1.0,
        value_coefficient=0.5,
        entropy_coefficient=0.1,
        entropy_end=0.2,
        entropy_from=min(100, ITERATIONS - 1),
        epochs=2,
        learning_rate=3e-3,
        hidden=16,
        seed=seed,
        iterations=ITERATIONS,
        phases=1,
    )
    folder = cp.train(settings, Path(tempfile.mkdtemp()) / "advantage-alignment")
    one, other = cp.load(folder.path)
    opponents = {
        "each other": other,
        "tit-for-tat": cp.named_strategy("tit_for_tat"),
        "always-cooperate": cp.named_strategy("always_cooperate"),
        "always-defect": cp.named_strategy("always_defect"),
    }
    for name, opponent in opponents.items():
        view = cp.play_match((one, opponent), game, jax.random.key(0), episodes=200).view(0)
        print(f"against {name}: cooperation {view.measures['cooperation'].mean():.2f}")


ITERATIONS = 300

if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
