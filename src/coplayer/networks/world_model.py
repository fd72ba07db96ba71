"""Sequence models of an episode that are world model and policy prior at once (Weis et al. 2026, section 3.1).

Two models share one interface, so planner and learner need not know which of the two they hold:

* `RoundModel`: one recurrent step per round. In a matrix game the observation names both actions and so the reward.
  Hence the observation is the only input. Heads: own action, the co-player's action given one's own, each joint
  action's reward.
* `TokenModel`: the paper's model, three recurrent steps per round (observation, reward, action, in this order). Each
  step predicts the next token.

In the ablation with opponent identity a model also takes an *identity*: a vector that names the co-player. The vector
joins the first round's observation. In all later rounds zeros take the vector's place.

Models see, and never act: `see` gives the *state* in which the model is about to act, from the state before. A new
model is one class that meets `WorldModel`. Probabilities have their choices on the first axis (`[actions, batch]`). The
batch is then the contiguous axis, which is several times faster on a CPU.
"""

from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Integer, PRNGKeyArray, PyTree

from coplayer.errors import require_key, require_kind
from coplayer.games.matrix import START, MatrixGame, observe
from coplayer.networks.core import OnCore, new_core
from coplayer.networks.layers import new_linear, pick, sample


class EpisodeLoss(NamedTuple):
    """Mean losses over trajectories and rounds, in nats (observation, action) and half squared reward units."""

    observation: Float[Array, ""]
    action: Float[Array, ""]
    reward: Float[Array, ""]


@runtime_checkable
class WorldModel(Protocol):
    """What planner and learner ask of a sequence model, an equinox Module. `S` below is the batch of states, any
    length.
    """

    game: MatrixGame
    identity_size: int
    """Length of the vector that may join the first round's observation; 0: none."""
    gives_expected_rewards: bool
    """Whether the model can average an imagined reward over the co-player's replies."""

    def initial_state(self, batch: int) -> PyTree:
        """The recurrent state before anything was seen: arrays with a leading axis of the batch."""

    def see(
        self,
        state: PyTree,
        observation: Int[Array, " S"],
        reward: Float[Array, " S"],
        identity: Float[Array, "identity S"] | None = None,
    ) -> PyTree:
        """The state in which the model is about to act, from the state before.

        `observation` names the round before, with one's own action in it, and `reward` is what that round paid. Where
        the observation is START, the state has to be `initial_state`, the reward 0, and `identity` joins (None: zeros).
        """

    def action_logits(self, state: PyTree) -> Float[Array, "actions S"]:
        """The prior over one's own next action, log p(a_t | x_{<=t}), up to normalisation."""

    def imagine(
        self, state: PyTree, action: Int[Array, " S"], uniform: Float[Array, " S"]
    ) -> tuple[PyTree, Float[Array, " S"]]:
        """(next state, predicted reward) of an imagined round in which one plays `action`."""

    def reply_logs(self, state: PyTree, action: Int[Array, " S"]) -> Float[Array, "actions S"]:
        """Log-probability, in nats, of each reply to `action`: of the outcome of a round in which one plays it."""

    def expected_reward(self, state: PyTree) -> Float[Array, "actions S"]:
        """Mean imagined reward of the coming round for each own action, over the co-player's reply. Only asked of a
        model that `gives_expected_rewards`.
        """

    def episode_loss(
        self,
        joint: Int[Array, "rounds batch"],
        reward: Float[Array, "rounds batch"],
        identity: Float[Array, "identity batch"] | None = None,
    ) -> EpisodeLoss:
        """Prediction losses on whole episodes; `identity` as in `see`."""


def _one_hot(model: "RoundModel | TokenModel", observation: Integer[Array, "..."]) -> Float[Array, "... inputs"]:
    """One-hot observations, with zeros in the identity's place."""
    return jax.nn.one_hot(observation, model.game.observation_space.size + model.identity_size)


def _in_place(
    model: "RoundModel | TokenModel", identity: Float[Array, "identity batch"]
) -> Float[Array, "batch inputs"]:
    """The identity in its place among the inputs, with zeros in the observation's."""
    return jnp.pad(identity.T, ((0, 0), (model.game.observation_space.size, 0)))


def _round_inputs(
    model: "RoundModel | TokenModel",
    observation: Integer[Array, " batch"],
    identity: Float[Array, "identity batch"] | None = None,
) -> Float[Array, "batch inputs"]:
    """The inputs of one round, `identity` where an episode opens."""
    inputs = _one_hot(model, observation)
    return inputs if identity is None else inputs + _in_place(model, jnp.where(observation == START, identity, 0.0))


def _episode_inputs(
    model: "RoundModel | TokenModel",
    observation: Integer[Array, "rounds batch"],
    identity: Float[Array, "identity batch"] | None = None,
) -> Float[Array, "rounds batch inputs"]:
    """The inputs of whole episodes, `identity` in the first round."""
    inputs = _one_hot(model, observation)
    return inputs if identity is None else inputs.at[0].add(_in_place(model, identity))


def _nll(logits: Float[Array, "choices ..."], choice: Int[Array, "..."]) -> Float[Array, ""]:
    """Mean negative log-likelihood of `choice`."""
    logs = jax.nn.log_softmax(logits, axis=0)
    return -sum(jnp.where(choice == c, logs[c], 0.0).mean() for c in range(logits.shape[0]))


class RoundModel(OnCore):
    """One recurrent step per round; the state is the recurrent state."""

    head_weights: Float[Array, "outputs hidden"]
    head_bias: Float[Array, " outputs"]
    game: MatrixGame = eqx.field(static=True)
    identity_size: int = eqx.field(static=True)

    gives_expected_rewards: ClassVar[bool] = True

    def __init__(self, game: MatrixGame, hidden: int, *, core: str = "gru", identity_size: int = 0, key: PRNGKeyArray):
        """`hidden`: width of the core, whose kind is a name among `networks.core.CORES`."""
        require_kind("game", game, MatrixGame)
        require_key(key)
        super().__init__(
            new_core(core, game.observation_space.size + identity_size, hidden, jax.random.fold_in(key, 0))
        )
        self.game = game
        self.identity_size = identity_size
        outputs = game.num_actions + 2 * game.num_joint
        self.head_weights, self.head_bias = new_linear(jax.random.fold_in(key, 1), hidden, outputs)

    def heads(self, state: PyTree):
        """In a state: logits of one's own action `[n, *batch]`, and logits of the co-player's action given one's own
        `[n own, n other, *batch]`. Third, the predicted reward of each joint action, in the shape of the second.
        """
        return self._read(self.core.features(state))

    def _read(self, features: Float[Array, "*batch hidden"]):
        n = self.game.num_actions
        outputs = jnp.einsum("oh,...h->o...", self.head_weights, features)
        outputs = outputs + self.head_bias.reshape(-1, *[1] * (features.ndim - 1))
        square = (n, n, *outputs.shape[1:])
        return outputs[:n], outputs[n : n + n * n].reshape(square), outputs[n + n * n :].reshape(square)

    def initial_state(self, batch):
        return self.core.initial_state(batch)

    def see(self, state, observation, reward, identity=None):
        return self.core.step(state, _round_inputs(self, observation, identity))

    def action_logits(self, state):
        return self.heads(state)[0]

    def imagine(self, state, action, uniform):
        _, replies, rewards = self.heads(state)
        reply = sample(jax.nn.softmax(pick(replies, action), axis=0), uniform)
        following = self.core.step(state, _one_hot(self, observe(self.game.joint(action, reply))))
        return following, pick(pick(rewards, action), reply)

    def reply_logs(self, state, action):
        return pick(jax.nn.log_softmax(self.heads(state)[1], axis=1), action)

    def expected_reward(self, state):
        _, replies, rewards = self.heads(state)
        return (jax.nn.softmax(replies, axis=1) * rewards).sum(1)

    def episode_loss(self, joint, reward, identity=None):
        batch = joint.shape[1]
        seen = jnp.concatenate([jnp.full((1, batch), START), observe(joint[:-1])])
        features = self.core.sequence(self.core.initial_state(batch), _episode_inputs(self, seen, identity))
        actions, replies, rewards = self._read(features.reshape(-1, self.core.width))
        joint, reward = joint.reshape(-1), reward.reshape(-1)
        own, other = self.game.own_action(joint), self.game.other_action(joint)
        predicted = pick(rewards.reshape(-1, joint.size), joint)
        return EpisodeLoss(
            observation=_nll(pick(replies, own), other),
            action=_nll(actions, own),
            reward=0.5 * jnp.mean((predicted - reward) ** 2),
        )


class TokenModel(OnCore):
    """The paper's model: tokens o_t, r_t, a_t in turn, one linear embedding and one linear head per modality.

    The state in which the model acts is the recurrent state after the reward token, whose head gives the action. The
    action itself comes in when the next observation is seen, which names it.
    """

    embeddings: tuple  # (weights [outputs, inputs], bias), for observation, reward and action
    observation_head: tuple
    reward_head: tuple
    action_head: tuple
    game: MatrixGame = eqx.field(static=True)
    identity_size: int = eqx.field(static=True)

    gives_expected_rewards: ClassVar[bool] = False

    def __init__(
        self,
        game: MatrixGame,
        hidden: int,
        embedding: int = 32,
        *,
        core: str = "gru",
        identity_size: int = 0,
        key: PRNGKeyArray,
    ):
        """`hidden`: width of the core, whose kind is a name among `networks.core.CORES`. `embedding`: width of a
        token's embedding.
        """

        require_kind("game", game, MatrixGame)
        require_key(key)

        def named(name: int) -> PRNGKeyArray:
            return jax.random.fold_in(key, name)

        super().__init__(new_core(core, embedding, hidden, named(0)))
        self.game = game
        self.identity_size = identity_size
        observations = game.observation_space.size
        sizes = (observations + identity_size, 1, game.num_actions)
        self.embeddings = tuple(new_linear(named(1 + i), size, embedding) for i, size in enumerate(sizes))
        self.observation_head = new_linear(named(4), hidden, observations)
        self.reward_head = new_linear(named(5), hidden, 1)
        self.action_head = new_linear(named(6), hidden, game.num_actions)

    def _embed(self, modality: int, inputs: Float[Array, "*batch inputs"]) -> Float[Array, "*batch embedding"]:
        weights, bias = self.embeddings[modality]
        return inputs @ weights.T + bias

    def _embed_observation(self, inputs):
        return self._embed(0, inputs)

    def _embed_reward(self, reward):
        return self._embed(1, reward[..., None])

    def _embed_action(self, action):
        return self._embed(2, jax.nn.one_hot(action, self.game.num_actions))

    @staticmethod
    def _read(head, features):
        weights, bias = head
        return jnp.einsum("oh,...h->o...", weights, features) + bias.reshape(-1, *[1] * (features.ndim - 1))

    def _head(self, head, state):
        return self._read(head, self.core.features(state))

    def initial_state(self, batch):
        return self.core.initial_state(batch)

    def see(self, state, observation, reward, identity=None):
        own = self.game.own_action(jnp.maximum(observation - 1, 0))
        acted, opens = self.core.step(state, self._embed_action(own)), observation == START

        def unless_it_opens(before: Array, after: Array) -> Array:
            return jnp.where(opens.reshape(-1, *[1] * (after.ndim - 1)), before, after)

        state = jax.tree.map(unless_it_opens, state, acted)
        state = self.core.step(state, self._embed_observation(_round_inputs(self, observation, identity)))
        return self.core.step(state, self._embed_reward(reward))

    def action_logits(self, state):
        return self._head(self.action_head, state)

    def imagine(self, state, action, uniform):
        state = self.core.step(state, self._embed_action(action))
        observation = sample(jax.nn.softmax(self._head(self.observation_head, state), axis=0), uniform)
        state = self.core.step(state, self._embed_observation(_one_hot(self, observation)))
        reward = self._head(self.reward_head, state)[0]
        return self.core.step(state, self._embed_reward(reward)), reward

    def reply_logs(self, state, action):
        """May add up to less than 1: the model can give weight to observations that belie one's own action."""
        state = self.core.step(state, self._embed_action(action))
        logs = jax.nn.log_softmax(self._head(self.observation_head, state), axis=0)
        n = self.game.num_actions
        return pick(logs[1:].reshape(n, n, *action.shape), action)

    def expected_reward(self, state):
        raise NotImplementedError("a TokenModel gives no reward before the outcome is drawn")

    def episode_loss(self, joint, reward, identity=None):
        """The tokens are o_0 r_0 a_0 ... o_{T-1} r_{T-1} a_{T-1} o_T. r_T would be the reward of the last round, and
        its head reads the state after o_T. START and its reward of 0 are given, not predicted.
        """
        rounds, batch = joint.shape
        own = self.game.own_action(joint)
        start = jnp.full((1, batch), START)
        observations = jnp.concatenate([start, observe(joint)])  # [T + 1, batch]
        rewards = jnp.concatenate([jnp.zeros((1, batch)), reward])
        seen = self._embed_observation(_episode_inputs(self, observations[:-1], identity))
        tokens = jnp.stack([seen, self._embed_reward(rewards[:-1]), self._embed_action(own)], 1)
        tokens = tokens.reshape(3 * rounds, batch, -1)
        tokens = jnp.concatenate([tokens, self._embed_observation(_one_hot(self, observations[-1:]))])
        features = self.core.sequence(self.core.initial_state(batch), tokens)
        after_observation, after_reward, after_action = features[3::3], features[1::3], features[2::3]
        predicted = self._read(self.reward_head, after_observation)[0]
        return EpisodeLoss(
            observation=_nll(self._read(self.observation_head, after_action), observations[1:]),
            action=_nll(self._read(self.action_head, after_reward), own),
            reward=0.5 * jnp.mean((predicted - reward) ** 2),
        )
