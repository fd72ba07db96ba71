"""Slow references in plain numpy (float64), one episode at a time, written from the papers' equations, not
from src."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import chisquare


def with_random_weights(build, seed, scale=0.8):
    """The model that `build()` makes, its weights and biases large enough that predictions are far from uniform."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(build)
    return jax.tree.map(lambda leaf: jnp.asarray(scale * rng.normal(size=leaf.shape), jnp.float32), shapes)


def logistic(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    weights = np.exp(x - np.max(x))
    return weights / weights.sum()


def swish(x):
    return x * logistic(x)


def as_float64(array):
    return np.asarray(array, dtype=np.float64)


def gru_step(weights, hidden, given):
    """One step of one sequence. `weights`: (input, hidden, bias, candidate bias), gates in the order r, z, n."""
    input_weights, hidden_weights, bias, candidate_bias = weights
    x_r, x_z, x_n = np.split(given @ input_weights + bias, 3)
    h_r, h_z, h_n = np.split(hidden @ hidden_weights, 3)
    reset, update = logistic(x_r + h_r), logistic(x_z + h_z)
    candidate = np.tanh(x_n + reset * (h_n + candidate_bias))
    return (1 - update) * candidate + update * hidden


def gru_weights(gru):
    return tuple(as_float64(x) for x in (gru.input_weights, gru.hidden_weights, gru.bias, gru.candidate_bias))


class RoundOracle:
    """What a `RoundModel` says, for one episode, from its weights. A state is the recurrent state."""

    def __init__(self, model):
        self.n = model.game.num_actions
        self.gru = gru_weights(model.core)
        self.weights, self.bias = as_float64(model.head_weights), as_float64(model.head_bias)
        self.none = np.zeros(model.identity_size)

    def see(self, state, observation, identity=None):
        identity = self.none if identity is None else identity
        return gru_step(self.gru, state, np.concatenate([np.eye(1 + self.n**2)[observation], identity]))

    def start(self, identity=None):
        return self.see(np.zeros(self.weights.shape[1]), 0, identity)

    def after(self, state, own, other, reward):
        return self.see(state, 1 + own * self.n + other)

    def outputs(self, state):
        """Own action's probabilities [own], replies' [own, other], rewards [own, other]."""
        n, out = self.n, self.weights @ swish(state) + self.bias
        replies = np.array([softmax(out[n + own * n : n + own * n + n]) for own in range(n)])
        return softmax(out[:n]), replies, out[n + n * n :].reshape(n, n)

    def prior(self, state):
        return self.outputs(state)[0]

    def branches(self, state, own):
        """(probability, reward, next state) of every way an imagined round can go."""
        _, replies, rewards = self.outputs(state)
        for other in range(self.n):
            yield replies[own, other], rewards[own, other], self.after(state, own, other, None)

    def losses(self, joint, reward, identity=None):
        """Sums over the rounds of one episode: observation, action, reward."""
        sums, state = np.zeros(3), self.start(identity)
        for j, r in zip(joint, reward, strict=True):
            own, other = divmod(int(j), self.n)
            prior, replies, rewards = self.outputs(state)
            sums += [-np.log(replies[own, other]), -np.log(prior[own]), 0.5 * (rewards[own, other] - r) ** 2]
            state = self.after(state, own, other, r)
        return sums


class TokenOracle:
    """What a `TokenModel` says, for one episode, from its weights. A state is the recurrent state after r_t."""

    def __init__(self, model):
        self.n = model.game.num_actions
        self.gru = gru_weights(model.core)
        self.embeddings = [(as_float64(w), as_float64(b)) for w, b in model.embeddings]
        heads = (model.observation_head, model.reward_head, model.action_head)
        self.heads = [(as_float64(w), as_float64(b)) for w, b in heads]
        self.none = np.zeros(model.identity_size)

    def feed(self, state, modality, token):
        weights, bias = self.embeddings[modality]
        return gru_step(self.gru, state, weights @ token + bias)

    def feed_observation(self, state, observation, identity=None):
        identity = self.none if identity is None else identity
        return self.feed(state, 0, np.concatenate([np.eye(1 + self.n**2)[observation], identity]))

    def feed_reward(self, state, reward):
        return self.feed(state, 1, np.array([reward]))

    def feed_action(self, state, action):
        return self.feed(state, 2, np.eye(self.n)[action])

    def head(self, state, modality):
        weights, bias = self.heads[modality]
        return weights @ swish(state) + bias

    def start(self, identity=None):
        return self.feed_reward(self.feed_observation(np.zeros(self.gru[1].shape[0]), 0, identity), 0.0)

    def after(self, state, own, other, reward):
        state = self.feed_observation(self.feed_action(state, own), 1 + own * self.n + other)
        return self.feed_reward(state, reward)

    def prior(self, state):
        return softmax(self.head(state, 2))

    def branches(self, state, own):
        state = self.feed_action(state, own)
        for observation, probability in enumerate(softmax(self.head(state, 0))):
            seen = self.feed_observation(state, observation)
            reward = self.head(seen, 1)[0]
            yield probability, reward, self.feed_reward(seen, reward)

    def losses(self, joint, reward, identity=None):
        sums, state = np.zeros(3), self.start(identity)
        for j, r in zip(joint, reward, strict=True):
            own = int(j) // self.n
            acted = self.feed_action(state, own)
            seen = self.feed_observation(acted, 1 + int(j))
            sums += [
                -np.log(softmax(self.head(acted, 0))[1 + int(j)]),
                -np.log(self.prior(state)[own]),
                0.5 * (self.head(seen, 1)[0] - r) ** 2,
            ]
            state = self.feed_reward(seen, r)
        return sums


class ActorCriticOracle:
    """What an `ActorCritic` says, for one episode, from its weights. A state is the recurrent state."""

    def __init__(self, network):
        self.n, self.identity_size = network.num_actions, network.identity_size
        self.gru = gru_weights(network.core)
        self.weights, self.bias = as_float64(network.head_weights), as_float64(network.head_bias)

    def see(self, state, observation, identity):
        return gru_step(self.gru, state, np.concatenate([np.eye(1 + self.n**2)[observation], identity]))

    def start(self, identity=None):
        identity = np.zeros(self.identity_size) if identity is None else identity
        return self.see(np.zeros(self.weights.shape[1]), 0, identity)

    def after(self, state, own, other):
        return self.see(state, 1 + own * self.n + other, np.zeros(self.identity_size))

    def policy(self, state):
        return softmax((self.weights @ swish(state) + self.bias)[:-1])

    def value(self, state):
        return (self.weights @ swish(state) + self.bias)[-1]


def joint_distributions(own, other, rounds):
    """P(joint action) in each round, in the first one's view, of two memory-1 tables [observation, action]."""
    n = own.shape[1]
    first = np.outer(own[0], other[0]).reshape(-1)
    transition = np.zeros((n * n, n * n))
    for a in range(n):
        for b in range(n):
            transition[a * n + b] = np.outer(own[1 + a * n + b], other[1 + b * n + a]).reshape(-1)
    return np.array([first @ np.linalg.matrix_power(transition, t) for t in range(rounds)])


def assert_as_frequent(drawn, probabilities):
    """Drawn outcomes, numbered from 0, have these probabilities, by a chi-square test."""
    counts = np.bincount(np.asarray(drawn), minlength=len(probabilities))
    assert len(counts) == len(probabilities) and counts.sum() >= 1_000
    assert chisquare(counts, counts.sum() * np.asarray(probabilities, dtype=float)).pvalue > 1e-3
