"""Planning by Monte Carlo rollouts inside a sequence model, and the improved policy it gives (Weis et al. 2026, 3.1).

    Q(x, a) = mean over rollouts of the sum of the next `horizon` imagined rewards, own first action forced to a
    pi(a | x)  proportional to  p(a | x) exp(Q(x, a) / temperature)

After the forced action a rollout samples the co-player and one's own prior in turn. There is no terminal value, and the
rollout ignores the end of the episode.
"""

import math
from dataclasses import dataclass, replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer, PRNGKeyArray, PyTree

from coplayer.errors import require, require_kind
from coplayer.games.game import Game
from coplayer.games.matrix import START, MatrixGame
from coplayer.networks.layers import sample
from coplayer.networks.world_model import WorldModel
from coplayer.play.player import Player
from coplayer.play.trajectory import observations
from coplayer.players.memory1 import identity_of
from coplayer.settings import check_group, setting


@dataclass(frozen=True)
class PlannerSettings:
    """Planner: rollouts inside the sequence model"""

    rollouts: int = setting(20)
    """Imagined rollouts for each candidate action."""
    horizon: int = setting(15)
    """Imagined rounds of a rollout."""
    temperature: float = setting(0.01)
    """Temperature of the improved policy, prior * exp(Q / temperature), in reward summed over the horizon."""
    expected_rewards: bool = setting(False)
    """Average each imagined round's reward over both players' actions, which makes planning less noisy. Needs --model
    round."""
    common_random_numbers: bool = setting(True)
    """Use the same random draws for all candidate actions, which makes planning less noisy."""
    stratified: bool = setting(False)
    """Spread the random draws of an imagined round evenly over a decision's rollouts, which makes planning less noisy.
    """
    open_rollouts: int = setting(0, at_least=0)
    """Further rollouts for each candidate action where the choice is most open: in a quarter of the decisions made side
    by side. A single decision gets them too."""

    @property
    def rollouts_alone(self) -> int:
        """Rollouts for each candidate action of a single decision."""
        return self.rollouts + self.open_rollouts

    @property
    def mean_rollouts(self) -> float:
        """Rollouts for each candidate action, as a mean over many decisions made side by side."""
        return self.rollouts + OPEN * self.open_rollouts

    @property
    def most_side_by_side(self) -> float:
        """Rollouts for each candidate action that are imagined at a time, as a mean over such decisions."""
        return max(float(self.rollouts), OPEN * self.open_rollouts)


OPEN = 0.25  # share of the decisions that get further rollouts
TINY = 1e-9  # a variance
BELOW_ONE = np.nextafter(np.float32(1), np.float32(0))  # where rounding would make a draw 1


def uniform_draws(
    key: PRNGKeyArray, shape: tuple[int, int, int], stratified: bool
) -> Float[Array, "uses sets rollouts batch"]:
    """Uniform draws in [0, 1) for two uses: one's own actions, and the co-player's. `shape`: sets, rollouts, batch.

    Stratified draws are a Latin hypercube sample (McKay, Beckman and Conover 1979). Each of the n intervals of length
    1/n has the draw of one of the n rollouts. Which rollout's is random, anew for each use. So each rollout by itself
    is distributed as if all draws were independent.
    """
    draws = jax.random.uniform(key, (2, *shape))
    if not stratified:
        return draws
    interval = (draws[:, :, :, None] > draws[:, :, None]).sum(3)  # the draw's rank among the rollouts
    place = jax.random.uniform(jax.random.fold_in(key, 0), (2, shape[0], 1, shape[2]))
    return jnp.minimum((interval + place) / shape[1], BELOW_ONE)


def estimate_q(
    model: WorldModel, state: PyTree, key: PRNGKeyArray, settings: PlannerSettings
) -> Float[Array, "actions batch"]:
    """Monte Carlo estimate of Q for each state and first action, in units of summed reward. Its mean does not depend on
    `expected_rewards`, `common_random_numbers` or `stratified`. With `open_rollouts` the two best actions lie a little
    farther apart in the mean, since choices that are close by chance are looked at again.

    Raises `CoplayerError` where the model cannot give expected rewards.
    """
    require(
        model.gives_expected_rewards or not settings.expected_rewards,
        f"expected_rewards: a {type(model).__name__} cannot give them; use a RoundModel",
    )
    returns = _returns(model, state, key, settings)
    q = returns.mean(1)
    if not settings.open_rollouts:
        return q
    _, at = jax.lax.top_k(-_lead(returns), math.ceil(OPEN * q.shape[1]))
    more = replace(settings, rollouts=settings.open_rollouts)
    further = _returns(
        model, jax.tree.map(lambda leaf: leaf[at], state), jax.random.fold_in(key, settings.horizon), more
    )
    share = settings.open_rollouts / settings.rollouts_alone
    return q.at[:, at].set((1 - share) * q[:, at] + share * further.mean(1))


def _lead(returns: Float[Array, "actions rollouts batch"]) -> Float[Array, " batch"]:
    """By how much the best action leads the second: the square of the difference over its variance."""
    best, second = jax.lax.top_k(returns.mean(1).T, 2)[1].T
    tables = jnp.arange(returns.shape[2])
    differences = returns[best, :, tables] - returns[second, :, tables]  # [batch, rollouts]
    return differences.mean(1) ** 2 / (differences.var(1) + TINY)


def _returns(
    model: WorldModel, state: PyTree, key: PRNGKeyArray, settings: PlannerSettings
) -> Float[Array, "actions rollouts batch"]:
    """The summed rewards of each rollout."""
    actions = model.game.num_actions
    batch = jax.tree.leaves(state)[0].shape[0]
    shape = (actions, settings.rollouts, batch)
    shared = (1 if settings.common_random_numbers else actions, settings.rollouts, batch)

    def uniforms(step: int | Int[Array, ""]) -> tuple[Array, Array]:
        """Draws for one's own action and for the co-player's."""
        draws = uniform_draws(jax.random.fold_in(key, step), shared, settings.stratified)
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
    return total.reshape(shape)


def improved_policy(
    logits: Float[Array, "actions batch"], q: Float[Array, "actions batch"], temperature: float
) -> Float[Array, "actions batch"]:
    """Log-probabilities of the improved policy: prior times exp(Q / temperature), normalised. Only differences of Q
    enter, so a small temperature loses neither the prior of actions that tie nor the range of floats.
    """
    return jax.nn.log_softmax(jax.nn.log_softmax(logits, axis=0) + (q - q.max(0)) / temperature, axis=0)


class PPIPlayer(Player):
    """A player that plans in its sequence model before every action, in a matrix game. Its state is the model's.

    `identity`: of its tabular co-players, for a model that takes identities (see `told`); None: its co-players are
    learners.
    """

    model: WorldModel
    settings: PlannerSettings = eqx.field(static=True)
    identity: Float[Array, "identity batch"] | None = None
    payoffs: Float[Array, " joint"] | None = None
    """Its rewards by its own joint action; None: those of the model's game in the first seat (see `in_seat`)."""

    def check(self, game: Game) -> None:
        require(
            isinstance(game, MatrixGame), "player: a planner needs a matrix game, whose observations name the round"
        )
        kind = type(self.model).__name__
        require(isinstance(self.model, WorldModel), f"player: its model must be a RoundModel or TokenModel, got {kind}")
        require_kind("player: its settings", self.settings, PlannerSettings)
        check_group(self.settings)
        own = self.model.game
        require(
            own.num_actions == game.num_actions,
            f"player: its model is made for {own.num_actions} actions, this game has {game.num_actions}",
        )
        require(
            game.payoffs in [own.seen_by(seat).payoffs for seat in range(2)],
            "player: its model was fitted to a game of other payoffs",
        )

    def told(self, probabilities: Float[Array, "batch observations actions"]) -> "PPIPlayer":
        """The player who knows the memory-1 co-player of each of its next `batch` episodes, if its model takes
        identities; itself otherwise.
        """
        if not self.model.identity_size:
            return self
        return PPIPlayer(self.model, self.settings, identity_of(jnp.moveaxis(probabilities, 0, -1)), self.payoffs)

    def in_seat(self, seat: int) -> "PPIPlayer":
        """The player with the payoffs of a seat of its model's game."""
        return PPIPlayer(self.model, self.settings, self.identity, self.model.game.payoff_vector(seat))

    def rewards(self, observation: Int[Array, "*batch"]) -> Float[Array, "*batch"]:
        """What the round that an observation names paid the player; 0 at START."""
        payoffs = self.model.game.payoff_vector() if self.payoffs is None else self.payoffs
        return jnp.where(observation == START, 0.0, payoffs[jnp.maximum(observation - 1, 0)])

    def see(self, state: PyTree, observation: Int[Array, " batch"]) -> PyTree:
        """The state in which the player is about to act, from the state before."""
        return self.model.see(state, observation, self.rewards(observation), self.identity)

    def states_along(self, joint: Integer[Array, "rounds batch"]) -> PyTree:
        """The states in which the player is about to act, before each round of an episode in its view:
        `[rounds, batch, ...]`.
        """

        def see(state, observation):
            now = self.see(state, observation)
            return now, now

        joint = joint.astype(jnp.int32)
        rounds, batch = joint.shape
        return jax.lax.scan(see, self.model.initial_state(batch), observations(joint, rounds))[1]

    def begin(self, key, batch):
        return self.model.initial_state(batch)

    def act(self, state, observation, key):
        state = self.see(state, observation)
        logits = self.model.action_logits(state)
        q = estimate_q(self.model, state, jax.random.fold_in(key, 0), self.settings)
        policy = jnp.exp(improved_policy(logits, q, self.settings.temperature))
        return state, sample(policy, jax.random.uniform(jax.random.fold_in(key, 1), logits.shape[1:])), None
