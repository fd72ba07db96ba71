"""How far a learner that predicts and plans is from a predictive equilibrium (Weis et al. 2026, appendices C and D).

At a perfect predictive equilibrium the model predicts the play on its own path as well as anyone could. The improved
policy is then the prior, and the policy is best under the model. Three measures go to zero there, each a mean over the
histories h on the path of play:

    excess loss       KL(P(. | h) || p(. | h)), of the true next action from the model's: its loss less the entropy rate
    policy gap        KL(pi(. | h) || p(. | h)), of the improved policy from the prior
    subjective gap    max_a Q(h, a) - sum_a pi(a | h) Q(h, a), under the model's own Q

The planner draws its rollouts anew for every decision. So the policy pi_w of one decision is random given h. The truth
about one's own action is the mean policy over the draws w, P = E_w pi_w. It is estimated from several independent
*plans* of the same history. The policy gap on one's own actions is E_w KL(pi_w || p) = KL(P || p) + E_w KL(pi_w || P).
It exceeds the excess loss KL(P || p) by the last term, which the rollouts' noise alone decides. Where that noise does
not vanish, neither does the policy gap.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy
from jaxtyping import Array, Float, Int, Integer, PRNGKeyArray

from coplayer.games.matrix import observe
from coplayer.players.planner import PPIPlayer, estimate_q, improved_policy

Plans = Float[Array, "plans actions *histories"]  # of independent plans of the same histories


def entropy(probabilities: Float[Array, "choices *batch"]) -> Float[Array, "*batch"]:
    """Entropy in nats."""
    return -xlogy(probabilities, probabilities).sum(0)


def divergence(
    probabilities: Float[Array, "choices *batch"], logs: Float[Array, "choices *batch"]
) -> Float[Array, "*batch"]:
    """KL(probabilities || exp(logs)) in nats."""
    return _cross_entropy(probabilities, logs) - entropy(probabilities)


def _cross_entropy(probabilities, logs):
    return -jnp.where(probabilities > 0, probabilities * logs, 0.0).sum(0)


def _leave_one_out(values: Plans) -> Plans:
    """The mean of all plans but each."""
    count = len(values)
    return (values.sum(0) - values) / (count - 1)


def mean_policy_entropy(policies: Plans) -> Float[Array, "*histories"]:
    """Entropy of the mean policy E_w pi_w, in nats, from policies of two plans or more.

    The entropy of the plans' mean is too low, by about (actions - 1) / (2 plans) where single policies are greedy. The
    jackknife takes out the bias of order 1 / plans: M H(mean) - (M - 1) (mean of the M values without one plan).
    """
    count = len(policies)
    others = jnp.maximum(_leave_one_out(policies), 0)
    return count * entropy(policies.mean(0)) - (count - 1) * jax.vmap(entropy)(others).mean(0)


def excess_loss(policies: Plans, logs: Float[Array, "actions *histories"]) -> Float[Array, "*histories"]:
    """KL(E_w pi_w || exp(logs)) in nats: a prediction's loss on the actions of a planner, less their entropy."""
    return _cross_entropy(policies.mean(0), logs) - mean_policy_entropy(policies)


def policy_gap(policies: Plans, prior: Float[Array, "actions *histories"]) -> Float[Array, "*histories"]:
    """E_w KL(pi_w || p) in nats, from the prior's log-probabilities. Unbiased for any number of plans."""
    return jax.vmap(divergence, in_axes=(0, None))(policies, prior).mean(0)


def subjective_gap(policies: Plans, q: Plans) -> Float[Array, "*histories"]:
    """max_a Q(a) - sum_a P(a) Q(a), in units of Q, from two plans or more.

    The maximum of a noisy Q is too high, and each plan's policy follows its own noise. So every plan's Q serves only to
    value what the other plans say: their best action against their mean policy. That is unbiased for the gain of that
    action, hence never too high in the mean. It is too low only where all plans but one miss the best action.
    """
    others = _leave_one_out(policies)
    best = jax.nn.one_hot(_leave_one_out(q).argmax(1), q.shape[1], axis=1)
    return ((best - others) * q).sum(1).mean(0)


class Probe(NamedTuple):
    """What a player says at some histories of its path."""

    prior: Float[Array, "actions histories"]  # log-probabilities
    replies: Float[Array, "actions histories"]  # of the co-player's action, given the own one that was played
    policies: Float[Array, "plans actions histories"]  # improved policies of independent plans
    q: Float[Array, "plans actions histories"]
    reward_loss: Float[Array, ""]  # the model's, over all rounds, in half squared reward units


def spread_rounds(key: PRNGKeyArray, rounds: int, episodes: int, count: int) -> Int[Array, "count episodes"]:
    """`count` rounds of each episode, as evenly spaced around it as can be, from a random one on. Each round is as
    likely as any other; with `count = rounds` each is there once.
    """
    first = jax.random.randint(key, (episodes,), 0, rounds)
    return (first + (jnp.arange(count) * rounds // count)[:, None]) % rounds


def take(values: Array, at: Int[Array, "count episodes"]) -> Array:
    """`values[rounds, episodes, ...]` at the rounds `at` of each episode: `[count * episodes, ...]`."""
    chosen = values[at, jnp.arange(at.shape[1])]
    return chosen.reshape(-1, *chosen.shape[2:])


@eqx.filter_jit
def probe(
    player: PPIPlayer,
    joint: Integer[Array, "rounds episodes"],
    at: Int[Array, "count episodes"],
    key: PRNGKeyArray,
    *,
    plans: int,
) -> Probe:
    """Ask a player at the rounds `at` of episodes in its own view. Its plans are as in play, `plans` of each history,
    and independent of those that made the episodes.
    """
    model, settings = player.model, player.settings
    joint = joint.astype(jnp.int32)
    states = jax.tree.map(lambda leaf: take(leaf, at), player.states_along(joint))
    logits = model.action_logits(states)

    def plan(index):
        q = estimate_q(model, states, jax.random.fold_in(key, index), settings)
        return jnp.exp(improved_policy(logits, q, settings.temperature)), q

    policies, q = jax.lax.map(plan, jnp.arange(plans))
    return Probe(
        prior=jax.nn.log_softmax(logits, axis=0),
        replies=model.reply_logs(states, take(model.game.own_action(joint), at)),
        policies=policies,
        q=q,
        reward_loss=model.episode_loss(joint, player.rewards(observe(joint))).reward,
    )
