"""The network against numpy, one episode at a time; its backward pass against plain reverse mode."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.games.matrix import START, MatrixGame, observe, prisoners_dilemma
from coplayer.networks.actor_critic import ActorCritic, replay
from oracles import ActorCriticOracle, with_random_weights

ROUNDS, BATCH, HIDDEN, CONTEXT = 5, 4, 3, 10
GAMES = {2: prisoners_dilemma(ROUNDS), 3: MatrixGame(np.arange(9.0).reshape(3, 3), ROUNDS)}


def example(seed, context, actions=2):
    """(network, context [context, batch], joint actions [rounds, batch])."""
    game, rng = GAMES[actions], np.random.default_rng(seed)
    network = with_random_weights(lambda: ActorCritic(game, HIDDEN, context=context, key=jax.random.key(0)), seed)
    vector = jnp.asarray(rng.normal(size=(context, BATCH)), jnp.float32)
    return network, vector, jnp.asarray(rng.integers(game.num_joint, size=(ROUNDS, BATCH)))


@jax.jit
def unroll(network, context, joint):
    """The trace of given episodes, by a plain scan."""
    observations = jnp.concatenate([jnp.full((1, joint.shape[1]), START), observe(joint[:-1])])

    def step(state, at):
        observation, first = at
        now = network.step(state, observation, jnp.where(first, context, 0.0))
        return now.state, now

    start = network.initial_state(joint.shape[1])
    return jax.lax.scan(step, start, (observations, jnp.arange(len(joint)) == 0))[1]


@pytest.mark.parametrize(("context", "actions"), [(0, 2), (CONTEXT, 2), (0, 3)])
def test_policy_and_value_against_numpy(context, actions):
    network, vector, joint = example(0, context, actions)
    logits, values = replay(network, vector, unroll(network, vector, joint))
    assert logits.shape == (actions, ROUNDS, BATCH)
    policy, oracle = jax.nn.softmax(logits, axis=0), ActorCriticOracle(network)
    for b in range(BATCH):
        state = oracle.start(np.asarray(vector)[:, b])
        for t in range(ROUNDS):
            np.testing.assert_allclose(policy[:, t, b], oracle.policy(state), atol=1e-5)
            assert values[t, b] == pytest.approx(oracle.value(state), abs=1e-5)
            state = oracle.after(state, *divmod(int(joint[t, b]), actions))


@pytest.mark.parametrize("context", [0, CONTEXT])
@pytest.mark.parametrize("seed", range(2))
def test_backward_pass_against_plain_reverse_mode(seed, context):
    network, vector, joint = example(seed, context)
    rng = np.random.default_rng(100 + seed)
    bars = rng.normal(size=(2, ROUNDS, BATCH)), rng.normal(size=(ROUNDS, BATCH))

    def custom(network, trace):
        logits, values = replay(network, vector, trace)
        return (bars[0] * logits).sum() + (bars[1] * values).sum()

    def plain(network):
        outputs = unroll(network, vector, joint).outputs
        return (bars[0] * jnp.moveaxis(outputs[:, :2], 1, 0)).sum() + (bars[1] * outputs[:, 2]).sum()

    ours = jax.jit(jax.grad(custom))(network, unroll(network, vector, joint))
    theirs = jax.jit(jax.grad(plain))(network)
    assert len(jax.tree.leaves(ours)) == 6
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert np.abs(other).max() > 1e-2
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=1e-4)


def test_the_input_weights_of_the_context_are_used_in_the_first_round_alone():
    """Their gradient is the first round's: the outer product of the context with what the start observation gets."""
    network, vector, joint = example(3, CONTEXT)
    trace = unroll(network, vector, joint)
    slope = jax.jit(jax.grad(lambda network, *played: replay(network, *played)[1].sum()))
    gradient = slope(network, vector, trace).gru.input_weights
    single = slope(network, *jax.tree.map(lambda leaf: leaf[..., :1], (vector, trace))).gru.input_weights
    np.testing.assert_allclose(single[5:], np.outer(vector[:, 0], single[START]), rtol=1e-4, atol=1e-5)
    assert np.abs(gradient[5:]).max() > 1e-3
