"""Predictive Policy Improvement (Weis et al. 2026, section 3.1 and algorithm 1): a learner's data set and its updates.

A learner repeats two steps. *Learn*: fit the sequence model to every episode in the data set, in one's own view.
*Improve*: play new episodes with the policy that planning inside the model gives, and add them to the data set.

The data set starts with episodes of tabular players among themselves. Each row is one episode in the learner's view, a
joint action a round in one byte. With `fresh_tabular` those first episodes are not stored: whenever one is due in a
batch, a new one is drawn, so they can never be overfitted.

Where the learner is told whom it meets (the ablation with opponent identity), each row has that name beside it.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from coplayer.games.matrix import MatrixGame
from coplayer.networks.world_model import EpisodeLoss, WorldModel
from coplayer.players.match import Player
from coplayer.pools import tabular


class LearnerState(NamedTuple):
    """All that one learner carries; a pytree, so learners and seeds are further axes."""

    model: WorldModel
    optimiser: optax.OptState
    episodes: UInt8[Array, "capacity rounds"]  # filled from the start
    key: PRNGKeyArray  # constant: every draw is a function of it and of where the run stands
    contexts: Float[Array, "capacity context"] | None = None  # what names each row's co-player; None: it is not told
    frozen: Player | None = None  # whom it meets instead of tabular players


class Fitting(NamedTuple):
    """How the sequence model is fitted."""

    batch: int
    learning_rate: float
    learning_rate_end: float  # as a share of `learning_rate`, reached by a cosine over the phase
    weight_decay: float
    beta1: float
    beta2: float
    max_gradient_norm: float
    observation_weight: float
    action_weight: float
    reward_weight: float
    fresh_tabular: int  # this many first episodes are drawn anew for each batch; 0: all are stored
    pool: tabular.TabularPool = tabular.UNIFORM  # of which these episodes' players are


def optimiser(fitting: Fitting) -> optax.GradientTransformation:
    """AdamW behind a bound on the gradient's norm, for a unit learning rate."""
    return optax.chain(
        optax.clip_by_global_norm(fitting.max_gradient_norm),
        optax.scale_by_adam(b1=fitting.beta1, b2=fitting.beta2),
        optax.add_decayed_weights(fitting.weight_decay),
    )


def learning_rate(fitting: Fitting, progress: Float[Array, ""]) -> Float[Array, ""]:
    """Learning rate at `progress` in [0, 1] through a phase."""
    end = fitting.learning_rate_end
    return fitting.learning_rate * (end + (1 - end) * 0.5 * (1 + jnp.cos(jnp.pi * progress)))


def total_loss(fitting: Fitting, loss: EpisodeLoss) -> Float[Array, ""]:
    """L = lam_obs L_obs + lam_act L_act + lam_rew L_rew (Weis et al. 2026, equation of section 3.1)."""
    return (
        fitting.observation_weight * loss.observation
        + fitting.action_weight * loss.action
        + fitting.reward_weight * loss.reward
    )


def updates_per_epoch(available: int | Int[Array, ""], batch: int) -> int | Int[Array, ""]:
    """Whole batches in one pass over `available` episodes, at least one; on the host and on the device alike."""
    return available // batch + (available < batch)


def epoch_order(key: PRNGKeyArray, available: Int[Array, ""], capacity: int) -> Int[Array, " capacity"]:
    """A random order of the first `available` of `capacity` indices; the others come last."""
    draws = jax.random.uniform(key, (capacity,))
    return jnp.argsort(jnp.where(jnp.arange(capacity) < available, draws, jnp.inf))


def take_batch(
    learner: LearnerState, fitting: Fitting, game: MatrixGame, indices: Int[Array, " batch"], key: PRNGKeyArray
) -> tuple[Int[Array, "rounds batch"], Float[Array, "context batch"] | None]:
    """The episodes of these indices, and what names their co-players. The first `fitting.fresh_tabular` indices mean
    fresh tabular episodes.
    """
    stored = jnp.maximum(indices - fitting.fresh_tabular, 0)
    joint = learner.episodes[stored].T.astype(jnp.int32)
    context = None if learner.contexts is None else learner.contexts[stored].T
    if not fitting.fresh_tabular:
        return joint, context
    is_fresh, drawn = indices < fitting.fresh_tabular, (key, game, indices.shape[0], fitting.pool)
    joint = jnp.where(is_fresh, tabular.play(*drawn), joint)
    if context is not None:
        context = jnp.where(is_fresh, tabular.identity(tabular.opponents(*drawn)), context)
    return joint, context


def fit(
    learner: LearnerState,
    fitting: Fitting,
    game: MatrixGame,
    payoffs: Float[Array, " joint"],
    *,
    available: Int[Array, ""],
    start: Int[Array, ""],
    stop: Int[Array, ""],
    total: Int[Array, ""],
    key: PRNGKeyArray,
) -> tuple[LearnerState, EpisodeLoss]:
    """Updates number `start` to `stop` - 1 of the `total` of a phase, on the first `available` episodes; they must not
    cross the end of an epoch. Returns the learner and the mean losses. `key` is the phase's key.
    """
    capacity = learner.episodes.shape[0] + fitting.fresh_tabular
    per_epoch = updates_per_epoch(available, fitting.batch)
    order = epoch_order(jax.random.fold_in(jax.random.fold_in(key, 0), start // per_epoch), available, capacity)
    transform = optimiser(fitting)

    def loss_of(model: WorldModel, joint: Int[Array, "rounds batch"], context):
        loss = model.episode_loss(joint, payoffs[joint], context)
        return total_loss(fitting, loss), loss

    def update(index: Int[Array, ""], carry):
        model, optimiser_state, losses = carry
        position = (index % per_epoch) * fitting.batch
        indices = order[(position + jnp.arange(fitting.batch)) % available]
        batch_key = jax.random.fold_in(jax.random.fold_in(key, 1), index)
        joint, context = take_batch(learner, fitting, game, indices, batch_key)
        gradient, loss = jax.grad(loss_of, has_aux=True)(model, joint, context)
        steps, optimiser_state = transform.update(gradient, optimiser_state, model)
        rate = learning_rate(fitting, index / total)
        model = eqx.apply_updates(model, jax.tree.map(lambda step: -rate * step, steps))
        return model, optimiser_state, jax.tree.map(jnp.add, losses, loss)

    zero = EpisodeLoss(*jnp.zeros((3,)))
    model, optimiser_state, losses = jax.lax.fori_loop(start, stop, update, (learner.model, learner.optimiser, zero))
    count = jnp.maximum(1, stop - start)
    losses = jax.tree.map(lambda x: x / count, losses)
    return learner._replace(model=model, optimiser=optimiser_state), losses
