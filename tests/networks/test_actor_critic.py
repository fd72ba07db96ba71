"""The network against numpy, one episode at a time; its backward pass against plain reverse mode and differences."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

from coplayer.errors import CoplayerError
from coplayer.games.matrix import START, MatrixGame, observe, prisoners_dilemma
from coplayer.networks import actor_critic
from coplayer.networks.actor_critic import ActorCritic, replay
from coplayer.networks.core import CORES, Core
from coplayer.play.trajectory import observations
from oracles import ActorCriticOracle, gru_step, gru_weights, softmax, swish, with_random_weights
from state_games import Commons

ROUNDS, BATCH, HIDDEN, CONTEXT = 5, 4, 3, 10
GAMES = {2: prisoners_dilemma(ROUNDS), 3: MatrixGame(np.arange(9.0).reshape(3, 3), ROUNDS)}


def example(seed, identity_size, actions=2, core="gru"):
    """(network, identity [identity, batch], joint actions [rounds, batch])."""
    game, rng = GAMES[actions], np.random.default_rng(seed)
    hidden = HIDDEN if core == "gru" else HIDDEN + 1
    network = with_random_weights(
        lambda: ActorCritic(game, hidden, core=core, identity_size=identity_size, key=jax.random.key(0)), seed
    )
    vector = jnp.asarray(rng.normal(size=(identity_size, BATCH)), jnp.float32)
    return network, vector, jnp.asarray(rng.integers(game.num_joint, size=(ROUNDS, BATCH)))


def observations_of(joint):
    return jnp.concatenate([jnp.full((1, joint.shape[1]), START), observe(joint[:-1])])


@jax.jit
def unroll(network, identity, joint):
    """The trace of given episodes, by a plain scan."""
    observations = observations_of(joint)

    def step(state, at):
        observation, first = at
        now = network.step(state, observation, jnp.where(first, identity, 0.0))
        return now.state, now

    start = network.initial_state(joint.shape[1])
    return jax.lax.scan(step, start, (observations, jnp.arange(len(joint)) == 0))[1]


@pytest.fixture(params=["rows", "columns"])
def layout(request, monkeypatch):
    """The batch first, or last as in a large batch."""
    monkeypatch.setattr(actor_critic, "LARGE", 1 if request.param == "columns" else 1000)
    unroll.clear_cache()
    trace_of.clear_cache()


@pytest.mark.usefixtures("layout")
@pytest.mark.parametrize(("identity_size", "actions"), [(0, 2), (CONTEXT, 2), (0, 3)])
def test_policy_and_value_against_numpy(identity_size, actions):
    network, vector, joint = example(0, identity_size, actions)
    logits, values = replay(network, vector, unroll(network, vector, joint))
    assert logits.shape == (actions, ROUNDS, BATCH)
    policy, oracle = jax.nn.softmax(logits, axis=0), ActorCriticOracle(network)
    for b in range(BATCH):
        state = oracle.start(np.asarray(vector)[:, b])
        for t in range(ROUNDS):
            np.testing.assert_allclose(policy[:, t, b], oracle.policy(state), atol=1e-5)
            assert values[t, b] == pytest.approx(oracle.value(state), abs=1e-5)
            state = oracle.after(state, *divmod(int(joint[t, b]), actions))


@pytest.mark.usefixtures("layout")
@pytest.mark.parametrize("identity_size", [0, CONTEXT])
@pytest.mark.parametrize("seed", range(2))
def test_backward_pass_against_plain_reverse_mode(seed, identity_size):
    network, vector, joint = example(seed, identity_size)
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


@pytest.mark.usefixtures("layout")
def test_the_input_weights_of_the_context_are_used_in_the_first_round_alone():
    """Their gradient is the first round's: the outer product of the identity with what the start observation gets."""
    network, vector, joint = example(3, CONTEXT)
    trace = unroll(network, vector, joint)
    slope = jax.jit(jax.grad(lambda network, *played: replay(network, *played)[1].sum()))
    gradient = slope(network, vector, trace).core.input_weights
    alone = vector[:, :1], unroll(network, vector[:, :1], joint[:, :1])
    single = slope(network, *alone).core.input_weights
    np.testing.assert_allclose(single[5:], np.outer(vector[:, 0], single[START]), rtol=1e-4, atol=1e-5)
    assert np.abs(gradient[5:]).max() > 1e-3


def outputs_by_steps(network, identity, joint):
    outputs = unroll(network, identity, joint).outputs
    return jnp.moveaxis(outputs[:, :-1], 1, 0), outputs[:, -1]


def close(ours, theirs, least=1e-2):
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert np.abs(other).max() > least
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4 * max(1.0, np.abs(other).max()))


def weighted(outputs, seed):
    """A number that depends on all outputs in a way that is not linear."""
    logits, values = outputs
    rng = np.random.default_rng(seed)
    return (rng.normal(size=logits.shape) * jnp.sin(logits)).sum() + (rng.normal(size=values.shape) * values**2).sum()


@pytest.mark.usefixtures("layout")
@pytest.mark.parametrize("segment", [0, 1, 2, 6])
@pytest.mark.parametrize("core", ["gru", "hawk"])
def test_unrolled_episodes_are_their_steps_in_value_and_gradient(core, segment):
    network, vector, joint = example(4, CONTEXT, core=core)
    joint = jnp.concatenate([joint, joint[:1]])  # six rounds
    observations = observations_of(joint)
    ours = jax.jit(lambda network: network.unroll(observations, vector, segment=segment))
    theirs = jax.jit(lambda network: outputs_by_steps(network, vector, joint))
    close(ours(network), theirs(network))
    slopes = (jax.jit(jax.grad(lambda network, f=f: weighted(f(network), 0)))(network) for f in (ours, theirs))
    close(*slopes)


def test_segments_bound_the_memory_of_the_gradient_and_divide_the_rounds():
    network, *_ = example(4, 0)
    observations = jnp.zeros((1024, BATCH), int)

    def kept(segment):
        slope = jax.jit(jax.grad(lambda network: weighted(network.unroll(observations, segment=segment), 0)))
        return slope.lower(network).compile().memory_analysis().temp_size_in_bytes

    assert kept(32) < kept(0) / 2
    with pytest.raises(CoplayerError, match="segment: must divide the 1024 rounds, got 5"):
        network.unroll(observations, segment=5)


@pytest.mark.usefixtures("layout")
@pytest.mark.parametrize("core", ["gru", "hawk"])
def test_a_trace_is_replayed_with_the_gradient_of_unrolling(core):
    network, vector, joint = example(5, CONTEXT, core=core)
    trace = unroll(network, vector, joint)
    observations = observations_of(joint)
    np.testing.assert_array_equal(trace.observation, observations)
    replayed = jax.jit(jax.value_and_grad(lambda network: weighted(replay(network, vector, trace), 1)))(network)
    unrolled = jax.jit(jax.value_and_grad(lambda network: weighted(network.unroll(observations, vector), 1)))(network)
    close(replayed, unrolled)


@pytest.mark.usefixtures("layout")
@pytest.mark.parametrize("core", ["gru", "hawk"])
def test_the_gradient_can_be_differentiated(core):
    """As LOLA does: the derivative of the gradient's product with a direction, against differences of the gradient,
    in float64.
    """
    with jax.enable_x64(True):
        network, _, joint = example(6, 0, core=core)
        rng = np.random.default_rng(9)
        network = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), network)
        direction = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), network)
        observations = observations_of(joint)
        slope = jax.grad(lambda network: weighted(network.unroll(observations), 2))

        def along(network):
            return sum(map(jnp.vdot, jax.tree.leaves(direction), jax.tree.leaves(slope(network))))

        def moved(step):
            return jax.tree.map(lambda leaf, other: leaf + step * other, network, direction)

        ours, slope, step = jax.jit(jax.grad(along))(network), jax.jit(slope), 1e-5
        theirs = jax.tree.map(lambda one, other: (one - other) / (2 * step), slope(moved(step)), slope(moved(-step)))
        for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            assert one.dtype == np.float64 and np.abs(other).max() > 1e-2
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize("core", ["gru", "hawk"])
def test_the_gradient_of_the_last_inner_episode_runs_through_all_before_it(core):
    """Of each weight along a direction, against differences of what is weighted, in float64."""
    inner, rng = 3, np.random.default_rng(12)
    joint = jnp.asarray(rng.integers(4, size=(4 * inner, BATCH)))
    with jax.enable_x64(True):
        network = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), example(11, 0, core=core)[0])

        @jax.jit
        def of_last(network, joint):
            outputs = network.unroll(observations(joint, inner))
            return weighted(jax.tree.map(lambda leaf: leaf[..., -inner:, :], outputs), 5)

        assert abs(of_last(network, joint.at[0].set(3 - joint[0])) - of_last(network, joint)) > 1e-3  # remembered
        leaves, treedef = jax.tree.flatten(network)
        slopes = jax.tree.leaves(jax.jit(jax.grad(of_last))(network, joint))
        for i, (leaf, slope) in enumerate(zip(leaves, slopes, strict=True)):
            direction, step = rng.normal(size=leaf.shape), 1e-5
            moved = [[*leaves[:i], leaf + by * direction, *leaves[i + 1 :]] for by in (step, -step)]
            one, other = (float(of_last(treedef.unflatten(weights), joint)) for weights in moved)
            assert float(jnp.vdot(slope, direction)) == pytest.approx((one - other) / (2 * step), rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("core", ["gru", "hawk"])
def test_a_population_is_unrolled_by_vmap(core):
    """A network for each of some batches of episodes: values and gradients are those of each alone."""
    members = [example(seed, 0, core=core) for seed in (7, 8)]
    networks = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[network for network, _, _ in members])
    observations = jnp.stack([observations_of(joint) for _, _, joint in members])
    value = jax.value_and_grad(lambda network, observations: weighted(network.unroll(observations), 4))
    together, alone = jax.jit(jax.vmap(value))(networks, observations), jax.jit(value)
    for i, (network, _, _) in enumerate(members):
        close(jax.tree.map(lambda leaf, i=i: leaf[i], together), alone(network, observations[i]))


def test_heads_may_start_at_zero():
    for core in ("gru", "hawk"):
        zero, plain = jax.jit(
            lambda core=core: tuple(
                ActorCritic(GAMES[2], 4, core=core, zero_heads=zero_heads, key=jax.random.key(0))
                for zero_heads in (True, False)
            )
        )()
        logits, values = jax.jit(ActorCritic.unroll)(zero, jnp.zeros((3, 2), jnp.int32))
        assert not np.any(logits) and not np.any(values)
        assert np.abs(plain.head_weights).max() > 0.1
        for one, other in zip(jax.tree.leaves(zero.core), jax.tree.leaves(plain.core), strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_core_is_one_of_those_known():
    with pytest.raises(CoplayerError, match="hidden: must be a multiple of 2, the heads of a Hawk, got 3"):
        ActorCritic(GAMES[2], 3, core="hawk", key=jax.random.key(0))
    for core, hidden in (("gru", 3), ("hawk", 4)):
        build = lambda core=core, hidden=hidden: ActorCritic(GAMES[2], hidden, core=core, key=jax.random.key(0))  # noqa: E731
        assert isinstance(jax.eval_shape(build).core, Core)
    with pytest.raises(CoplayerError, match="core: must be one of gru, hawk, got 'lstm'"):
        ActorCritic(GAMES[2], 4, core="lstm", key=jax.random.key(0))


# Observations that are vectors


def example_of_vectors(seed, identity_size, core="gru", rounds=ROUNDS):
    """(network, identity [identity, batch], observations [rounds, batch, size])."""
    rng, hidden = np.random.default_rng(seed), HIDDEN if core == "gru" else HIDDEN + 1
    build = lambda: ActorCritic(Commons(), hidden, core=core, identity_size=identity_size, key=jax.random.key(0))  # noqa: E731
    vector = jnp.asarray(rng.normal(size=(identity_size, BATCH)), jnp.float32)
    seen = jnp.asarray(rng.normal(size=(rounds, BATCH, Commons.observation_space.size)), jnp.float32)
    return with_random_weights(build, seed), vector, seen


@jax.jit
def trace_of(network, identity, seen):
    """The trace of given observations, by a plain scan."""

    def step(state, at):
        observation, first = at
        now = network.step(state, observation, jnp.where(first, identity, 0.0))
        return now.state, now

    start = network.initial_state(seen.shape[1])
    return jax.lax.scan(step, start, (seen, jnp.arange(len(seen)) == 0))[1]


@pytest.mark.usefixtures("layout")
@pytest.mark.parametrize("identity_size", [0, 2])
def test_policy_and_value_of_vectors_against_numpy(identity_size):
    network, vector, seen = example_of_vectors(0, identity_size)
    assert network.core.input_weights.shape == (4 + identity_size, 3 * HIDDEN)
    replayed, unrolled = replay(network, vector, trace_of(network, vector, seen)), network.unroll(seen, vector)
    heads, bias = np.asarray(network.head_weights, float), np.asarray(network.head_bias, float)
    for b in range(BATCH):
        state = np.zeros(HIDDEN)
        for t in range(ROUNDS):
            extra = np.asarray(vector)[:, b] if t == 0 else np.zeros(identity_size)
            state = gru_step(gru_weights(network.core), state, np.concatenate([np.asarray(seen, float)[t, b], extra]))
            outputs = heads @ swish(state) + bias
            for logits, values in (replayed, unrolled):
                np.testing.assert_allclose(softmax(np.asarray(logits)[:, t, b]), softmax(outputs[:-1]), atol=1e-5)
                assert values[t, b] == pytest.approx(outputs[-1], abs=1e-5)


@pytest.mark.usefixtures("layout")
@pytest.mark.parametrize("identity_size", [0, 2])
def test_backward_pass_of_vectors_against_plain_reverse_mode(identity_size):
    """Of `replay` and of `unroll`, against `jax.grad` of a scan of a cell that is written out here."""
    network, vector, seen = example_of_vectors(1, identity_size)
    extra = jnp.zeros((ROUNDS, BATCH, identity_size)).at[0].set(vector.T)

    def plain(network):
        gru = network.core

        def step(hidden, inputs):
            x_r, x_z, x_n = jnp.split(inputs @ gru.input_weights + gru.bias, 3, axis=-1)
            h_r, h_z, h_n = jnp.split(hidden @ gru.hidden_weights, 3, axis=-1)
            z = jax.nn.sigmoid(x_z + h_z)
            candidate = jnp.tanh(x_n + jax.nn.sigmoid(x_r + h_r) * (h_n + gru.candidate_bias))
            hidden = (1 - z) * candidate + z * hidden
            return hidden, jax.nn.silu(hidden) @ network.head_weights.T + network.head_bias

        outputs = jax.lax.scan(step, jnp.zeros((BATCH, HIDDEN)), jnp.concatenate([seen, extra], axis=-1))[1]
        return weighted((jnp.moveaxis(outputs[..., :-1], -1, 0), outputs[..., -1]), 1)

    trace = trace_of(network, vector, seen)
    theirs = jax.jit(jax.value_and_grad(plain))(network)
    close(jax.jit(jax.value_and_grad(lambda network: weighted(replay(network, vector, trace), 1)))(network), theirs)
    close(jax.jit(jax.value_and_grad(lambda network: weighted(network.unroll(seen, vector), 1)))(network), theirs)


def test_vectors_through_the_other_core_are_its_steps():
    network, vector, seen = example_of_vectors(2, 2, core="hawk")

    def by_steps(network):
        outputs = trace_of(network, vector, seen).outputs
        return jnp.moveaxis(outputs[:, :-1], 1, 0), outputs[:, -1]

    def unrolled(network):
        return network.unroll(seen, vector)

    close(unrolled(network), by_steps(network))
    close(*(jax.jit(jax.grad(lambda network, f=f: weighted(f(network), 0)))(network) for f in (unrolled, by_steps)))


# A core of one's own


class LSTM(eqx.Module):
    """Long short-term memory, as short as can be: one file and one entry in `CORES` make it a core."""

    weights: Float[Array, "inputs_and_hidden four_hidden"]
    bias: Float[Array, " four_hidden"]

    def __init__(self, inputs, hidden, *, key):
        self.weights = jax.random.normal(key, (inputs + hidden, 4 * hidden)) * hidden**-0.5
        self.bias = jnp.zeros(4 * hidden)

    @property
    def width(self):
        return self.bias.shape[0] // 4

    def initial_state(self, batch):
        return jnp.zeros((batch, self.width)), jnp.zeros((batch, self.width))

    def step(self, state, inputs):
        hidden, cell = state
        given, forget, candidate, out = jnp.split(
            jnp.concatenate([inputs, hidden], axis=-1) @ self.weights + self.bias, 4, axis=-1
        )
        cell = jax.nn.sigmoid(forget) * cell + jax.nn.sigmoid(given) * jnp.tanh(candidate)
        return jax.nn.sigmoid(out) * jnp.tanh(cell), cell

    def features(self, state):
        return state[0]

    def sequence(self, state, inputs):
        def step(state, inputs):
            state = self.step(state, inputs)
            return state, self.features(state)

        return jax.lax.scan(step, state, inputs)[1]


def lstm_by_hand(network, seen, identity):
    """Outputs of one episode, [rounds, outputs], one gate at a time."""
    weights, bias = np.asarray(network.core.weights, float), np.asarray(network.core.bias, float)
    width = len(bias) // 4
    hidden, cell, outputs = np.zeros(width), np.zeros(width), []
    for t, observation in enumerate(seen):
        extra = identity if t == 0 else np.zeros_like(identity)
        total = np.concatenate([observation, extra, hidden]) @ weights + bias
        given, forget, out = (1 / (1 + np.exp(-total[i * width : (i + 1) * width])) for i in (0, 1, 3))
        cell = forget * cell + given * np.tanh(total[2 * width : 3 * width])
        hidden = out * np.tanh(cell)
        outputs.append(np.asarray(network.head_weights, float) @ hidden + np.asarray(network.head_bias, float))
    return np.array(outputs)


@pytest.mark.parametrize("kind", ["symbols", "vectors"])
def test_a_third_core_plays_and_is_trained(kind, monkeypatch):
    """Values against numpy; the gradient of `unroll`, and of the `replay` of what was played, against differences."""
    monkeypatch.setitem(CORES, "lstm", LSTM)
    with jax.enable_x64(True):
        if kind == "symbols":
            network, vector, joint = example(13, 2, core="lstm")
            seen = observations_of(joint)
            rows = np.eye(5)[np.asarray(seen)]
        else:
            network, vector, seen = example_of_vectors(13, 2, core="lstm")
            rows = np.asarray(seen, float)
        assert isinstance(network.core, Core)
        network, vector = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), (network, vector))
        seen = seen if kind == "symbols" else seen.astype(jnp.float64)
        trace = trace_of(network, vector, seen)
        for logits, values in (network.unroll(seen, vector), replay(network, vector, trace)):
            for b in range(BATCH):
                expected = lstm_by_hand(network, rows[:, b], np.asarray(vector)[:, b])
                np.testing.assert_allclose(logits[:, :, b].T, expected[:, :-1], atol=1e-10)
                np.testing.assert_allclose(values[:, b], expected[:, -1], atol=1e-10)
        value = jax.jit(lambda network: weighted(network.unroll(seen, vector), 6))
        slope = jax.jit(jax.grad(value))(network)
        replayed = jax.jit(jax.grad(lambda network: weighted(replay(network, vector, trace), 6)))(network)
        leaves, treedef = jax.tree.flatten(network)
        for i, (leaf, ours, again) in enumerate(
            zip(leaves, *(jax.tree.leaves(slope) for slope in (slope, replayed)), strict=True)
        ):
            np.testing.assert_allclose(again, ours, rtol=1e-10, atol=1e-12)
            direction, step = np.random.default_rng(i).normal(size=leaf.shape), 1e-6
            moved = [[*leaves[:i], leaf + by * direction, *leaves[i + 1 :]] for by in (step, -step)]
            one, other = (float(value(treedef.unflatten(weights))) for weights in moved)
            assert float(jnp.vdot(ours, direction)) == pytest.approx((one - other) / (2 * step), rel=1e-6, abs=1e-7)
            assert np.abs(ours).max() > 1e-2


def test_a_third_core_under_updates_learns(monkeypatch):
    """Some steps down the gradient of the values' squared error make it small: the whole of it is trained."""
    monkeypatch.setitem(CORES, "lstm", LSTM)
    network, vector, seen = example_of_vectors(14, 0, core="lstm")
    targets = np.random.default_rng(0).normal(size=(ROUNDS, BATCH))

    @jax.jit
    def steps(network):
        def step(network, _):
            loss, slope = jax.value_and_grad(lambda n: ((n.unroll(seen, vector)[1] - targets) ** 2).mean())(network)
            return jax.tree.map(lambda leaf, by: leaf - 0.3 * by, network, slope), loss

        return jax.lax.scan(step, network, length=500)[1]

    losses = steps(network)
    assert losses[-1] < 0.05 * losses[0]
