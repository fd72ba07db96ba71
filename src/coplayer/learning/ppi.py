"""Predictive Policy Improvement (Weis et al. 2026, section 3.1 and algorithm 1): a learner's data set and its updates.

A learner repeats two steps. *Learn*: fit the sequence model to every episode in the data set, in one's own view.
*Improve*: play new episodes with the policy that planning inside the model gives, and add them to the data set.

Each row of the data set is one episode in the learner's view, one joint action per round, a byte each. The first
episodes of the data set may be *fresh*: they are not stored. Whenever one is due in a batch, a new one is drawn in its
place, so fresh episodes can never be overfitted.

Where the learner is told whom it meets (the ablation with opponent identity), the co-player's identity vector is stored
with each row.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Integer, PRNGKeyArray, UInt8

from coplayer.learning.optimisation import BoundedAdamWSettings, adamw, descend, rate_in_phase
from coplayer.networks.world_model import EpisodeLoss, WorldModel
from coplayer.settings import setting

EpisodeBatch = tuple[Integer[Array, "rounds batch"], Float[Array, "identity batch"] | None]
"""Episodes, and the identities of their co-players."""
Fresh = Callable[[PRNGKeyArray, int], EpisodeBatch]
"""`fresh(key, count)` draws `count` episodes."""


class PPIState(NamedTuple):
    """What learning and playing change; a pytree, so learners and seeds are further axes."""

    model: WorldModel
    optimiser: optax.OptState
    episodes: UInt8[Array, "capacity rounds"]  # filled from the start
    identities: Float[Array, "capacity identity"] | None = None  # of each row's co-player; None: the learner isn't told


@dataclass(frozen=True)
class FittingSettings:
    """Fitting of the sequence model"""

    fit_batch: int = setting(256)
    """Episodes in a batch that the sequence model is fitted to."""
    fit_epochs: int = setting(10)
    """Passes over the data set in each phase whose number of updates (--first-updates or --updates) is 0."""
    first_updates: int = setting(0, at_least=0)
    """Updates in the first phase; 0: as many as --fit-epochs takes."""
    updates: int = setting(0, at_least=0)
    """Updates in every phase but the first; 0: as many as --fit-epochs takes."""
    warm_start: bool = setting(False)
    """Carry the model's weights on from phase to phase, instead of drawing new ones."""
    observation_weight: float = setting(1.0, at_least=0)
    """Weight of the loss on observations, which name the co-player's actions."""
    action_weight: float = setting(1.0, at_least=0)
    """Weight of the loss on one's own actions."""
    reward_weight: float = setting(1.0, at_least=0)
    """Weight of the loss on rewards."""


def total_loss(fitting: FittingSettings, loss: EpisodeLoss) -> Float[Array, ""]:
    """L = lam_obs L_obs + lam_act L_act + lam_rew L_rew (Weis et al. 2026, equation of section 3.1)."""
    return (
        fitting.observation_weight * loss.observation
        + fitting.action_weight * loss.action
        + fitting.reward_weight * loss.reward
    )


def new_state(
    model: WorldModel,
    optimiser: BoundedAdamWSettings,
    episodes: UInt8[Array, "capacity rounds"],
    identities: Float[Array, "capacity identity"] | None = None,
) -> PPIState:
    """A learner before its first update."""
    return PPIState(model, adamw(optimiser).init(model), episodes, identities)


def updates_per_epoch(available: int | Int[Array, ""], batch: int) -> int | Int[Array, ""]:
    """Whole batches in one pass over `available` episodes, at least one; on the host and on the device alike."""
    return available // batch + (available < batch)


def epoch_order(key: PRNGKeyArray, available: Int[Array, ""], capacity: int) -> Int[Array, " capacity"]:
    """A random order of the first `available` of `capacity` indices; the others come last."""
    draws = jax.random.uniform(key, (capacity,))
    return jnp.argsort(jnp.where(jnp.arange(capacity) < available, draws, jnp.inf))


def take_batch(
    learner: PPIState,
    indices: Int[Array, " batch"],
    key: PRNGKeyArray,
    *,
    fresh: Fresh | None = None,
    fresh_count: int = 0,
) -> EpisodeBatch:
    """The episodes of these indices, of which the first `fresh_count` mean fresh ones."""
    stored = jnp.maximum(indices - fresh_count, 0)
    joint = learner.episodes[stored].T.astype(jnp.int32)
    identity = None if learner.identities is None else learner.identities[stored].T
    if not fresh_count:
        return joint, identity
    is_fresh, (drawn, whose) = indices < fresh_count, fresh(key, indices.shape[0])
    joint = jnp.where(is_fresh, drawn, joint)
    return joint, None if identity is None else jnp.where(is_fresh, whose, identity)


def fit(
    learner: PPIState,
    fitting: FittingSettings,
    optimiser: BoundedAdamWSettings,
    payoffs: Float[Array, " joint"],
    *,
    available: Int[Array, ""],
    start: Int[Array, ""],
    stop: Int[Array, ""],
    total: Int[Array, ""],
    key: PRNGKeyArray,
    fresh: Fresh | None = None,
    fresh_count: int = 0,
) -> tuple[PPIState, EpisodeLoss]:
    """Updates number `start` to `stop` - 1 of the `total` of a phase, on the first `available` episodes. They must not
    cross the end of an epoch. Returns the learner and the mean losses.

    `payoffs`: the learner's rewards by joint action. `key`: the phase's. The first `fresh_count` episodes are drawn by
    `fresh`.
    """
    capacity = learner.episodes.shape[0] + fresh_count
    per_epoch = updates_per_epoch(available, fitting.fit_batch)
    order = epoch_order(jax.random.fold_in(jax.random.fold_in(key, 0), start // per_epoch), available, capacity)
    transform = adamw(optimiser)

    def loss_of(model: WorldModel, joint: Int[Array, "rounds batch"], identity):
        loss = model.episode_loss(joint, payoffs[joint], identity)
        return total_loss(fitting, loss), loss

    def update(index: Int[Array, ""], carry):
        model, optimiser_state, losses = carry
        position = (index % per_epoch) * fitting.fit_batch
        indices = order[(position + jnp.arange(fitting.fit_batch)) % available]
        batch_key = jax.random.fold_in(jax.random.fold_in(key, 1), index)
        joint, identity = take_batch(learner, indices, batch_key, fresh=fresh, fresh_count=fresh_count)
        gradient, loss = jax.grad(loss_of, has_aux=True)(model, joint, identity)
        steps, optimiser_state = transform.update(gradient, optimiser_state, model)
        model = descend(model, steps, rate_in_phase(optimiser, index / total))
        return model, optimiser_state, jax.tree.map(jnp.add, losses, loss)

    zero = EpisodeLoss(*jnp.zeros((3,)))
    model, optimiser_state, losses = jax.lax.fori_loop(start, stop, update, (learner.model, learner.optimiser, zero))
    count = jnp.maximum(1, stop - start)
    losses = jax.tree.map(lambda x: x / count, losses)
    return learner._replace(model=model, optimiser=optimiser_state), losses
