"""Hawk: residual blocks around a gated linear recurrence, the RG-LRU (De et al. 2024, Griffin, sections 2.2 to 2.4).

A block, with rows of width d:

    u = x + recurrent(norm(x))        out = u + mlp(norm(u))
    norm(x) = x / sqrt(mean(x^2) + 1e-6) * (1 + s)
    recurrent(x) = W_o (rg_lru(conv(W_x x + b)) * gelu(W_y x + b)) + b
    mlp(x) = W_3 (gelu(W_1 x + b) * (W_2 x + b)) + b

The convolution is causal, over the last four inputs of a channel. The recurrence, with block-diagonal gates:

    i = sigmoid(B_i z)    g = sigmoid(B_a z)    log a = -8 g softplus(Lambda)
    h <- a h + sqrt(1 - a^2) (i z)

An input may be the first of a new sequence: a *start*. There a = 0, the square root is replaced by 1, and the
convolution does not look back. The first input after `initial_state` is a start.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from coplayer.errors import require
from coplayer.networks.layers import affine

EPSILON = 1e-6  # in the root-mean-square norm
DECAY = 8.0  # c in the paper
WINDOW = 4  # inputs that the convolution sees
CONVOLUTION_SCALE = 0.01  # variance of its first weights, times the fan-in
SLOWEST, FASTEST = 0.999, 0.9  # range at first of the base of a; the exponent is DECAY times the gate
HEADS = 2
STEEPEST = 1000.0  # bound on the gradient of the square root


def check_width(width: int, heads: int = HEADS) -> None:
    """Refuse a width that the heads cannot share."""
    require(width % heads == 0, f"hidden: must be a multiple of {heads}, the heads of a Hawk, got {width}")


class Linear(eqx.Module):
    """Rows to rows: inputs times weights, plus bias. At first normal with variance 1 / inputs; biases 0."""

    weights: Float[Array, "inputs outputs"]
    bias: Float[Array, " outputs"]

    def __init__(self, inputs: int, outputs: int, *, key: PRNGKeyArray):
        self.weights = jax.random.normal(key, (inputs, outputs)) * inputs**-0.5
        self.bias = jnp.zeros((outputs,))

    def __call__(self, rows: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        return affine(rows, self.weights, self.bias)


class BlockDiagonal(eqx.Module):
    """A linear layer for each head, on its own part of a row. At first normal with variance 1 / inputs of a head."""

    weights: Float[Array, "heads inputs outputs"]
    bias: Float[Array, "heads outputs"]

    def __init__(self, width: int, heads: int, *, key: PRNGKeyArray):
        part = width // heads
        self.weights = jax.random.normal(key, (heads, part, part)) * part**-0.5
        self.bias = jnp.zeros((heads, part))

    def __call__(self, rows: Float[Array, "*batch width"]) -> Float[Array, "*batch width"]:
        whole = jax.scipy.linalg.block_diag(*self.weights)  # one product: faster than a narrow one for each head
        return affine(rows, whole, self.bias.reshape(-1))


class Norm(eqx.Module):
    """Rows divided by their root mean square, then scaled."""

    scale: Float[Array, " width"]

    def __init__(self, width: int):
        self.scale = jnp.zeros((width,))

    def __call__(self, rows: Float[Array, "*batch width"]) -> Float[Array, "*batch width"]:
        square = jnp.mean(rows**2, axis=-1, keepdims=True)
        return rows * jax.lax.rsqrt(square + EPSILON) * (1 + self.scale)


class Convolution(eqx.Module):
    """Each channel's weighted sum of its last `WINDOW` inputs, oldest weight first."""

    weights: Float[Array, "window width"]
    bias: Float[Array, " width"]

    def __init__(self, width: int, *, key: PRNGKeyArray):
        self.weights = jax.random.normal(key, (WINDOW, width)) * (CONVOLUTION_SCALE / WINDOW) ** 0.5
        self.bias = jnp.zeros((width,))

    def __call__(
        self,
        window: Float[Array, "batch before width"],
        rows: Float[Array, "time batch width"],
        starts: Bool[Array, "time batch"],
    ) -> Float[Array, "time batch width"]:
        """`window`: the inputs before the first, oldest first."""
        time = rows.shape[0]
        past = jnp.concatenate([jnp.moveaxis(window, 1, 0), rows])
        began = jnp.concatenate([jnp.zeros((WINDOW - 1, *starts.shape[1:]), bool), starts])
        seen = jnp.ones(starts.shape, bool)  # whether the input `back` steps ago is of the same sequence
        total = rows * self.weights[-1] + self.bias
        for back in range(1, WINDOW):
            first = WINDOW - 1 - back
            seen &= ~began[first + 1 : first + 1 + time]
            total += jnp.where(seen[..., None], past[first : first + time], 0.0) * self.weights[-1 - back]
        return total


class RGLRU(eqx.Module):
    """The real-gated linear recurrent unit. `parallel`: run over a whole sequence by an associative scan; None: on any
    device but a CPU.
    """

    decay: Float[Array, " width"]  # Lambda
    input_gate: BlockDiagonal
    decay_gate: BlockDiagonal
    parallel: bool | None = eqx.field(static=True)

    def __init__(self, width: int, heads: int, *, parallel: bool | None = None, key: PRNGKeyArray):
        self.parallel = parallel
        self.input_gate = BlockDiagonal(width, heads, key=jax.random.fold_in(key, 0))
        self.decay_gate = BlockDiagonal(width, heads, key=jax.random.fold_in(key, 1))
        draws = jax.random.uniform(jax.random.fold_in(key, 2), (width,))
        log_a = 0.5 * jnp.log(draws * (SLOWEST**2 - FASTEST**2) + FASTEST**2 + 1e-8)
        self.decay = jnp.log(jnp.expm1(-log_a))

    def gated(
        self, rows: Float[Array, "*batch width"], starts: Bool[Array, "*batch"]
    ) -> tuple[Float[Array, "*batch width"], Float[Array, "*batch width"]]:
        """The recurrence's a, and what it adds: h <- a h + added."""
        start = starts[..., None]
        # `jax.nn.sigmoid`, not by tanh: sqrt(1 - a^2) needs a small gate's relative accuracy.
        log_a = -DECAY * jax.nn.sigmoid(self.decay_gate(rows)) * jax.nn.softplus(self.decay)
        a = jnp.exp(log_a)
        factor = jnp.where(start, 1.0, bounded_sqrt(-jnp.expm1(2 * log_a)))  # 1 - a^2, exact for a near 1
        return jnp.where(start, 0.0, a), factor * jax.nn.sigmoid(self.input_gate(rows)) * rows

    def step(
        self, hidden: Float[Array, "batch width"], rows: Float[Array, "batch width"], starts: Bool[Array, " batch"]
    ) -> Float[Array, "batch width"]:
        a, added = self.gated(rows, starts)
        return a * hidden + added

    def sequence(
        self,
        hidden: Float[Array, "batch width"],
        rows: Float[Array, "time batch width"],
        starts: Bool[Array, "time batch"],
    ) -> Float[Array, "time batch width"]:
        a, added = self.gated(rows, starts)
        added = added.at[0].add(a[0] * hidden)
        parallel = jax.default_backend() != "cpu" if self.parallel is None else self.parallel
        return (linear_scan_parallel if parallel else linear_scan)(a, added)


@jax.custom_jvp
def bounded_sqrt(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Square root whose derivative, infinite at 0, is at most `STEEPEST`."""
    return jnp.sqrt(x)


@bounded_sqrt.defjvp
def _bounded_sqrt_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    return bounded_sqrt(x), dx * 0.5 * jax.lax.rsqrt(jnp.maximum(x, 0.25 * STEEPEST**-2))


def linear_scan(a: Float[Array, "time *shape"], added: Float[Array, "time *shape"]) -> Float[Array, "time *shape"]:
    """h_t = a_t h_(t-1) + added_t from h = 0, one step after the other."""

    def step(h, at):
        h = at[0] * h + at[1]
        return h, h

    return jax.lax.scan(step, jnp.zeros_like(added[0]), (a, added))[1]


def linear_scan_parallel(
    a: Float[Array, "time *shape"], added: Float[Array, "time *shape"]
) -> Float[Array, "time *shape"]:
    """The same in about 2 log2(time) steps, each on the whole sequence."""

    def combine(first, second):
        return first[0] * second[0], second[0] * first[1] + second[1]

    return jax.lax.associative_scan(combine, (a, added))[1]


class BlockState(NamedTuple):
    """What a block remembers: the convolution's last inputs, oldest first, and the recurrence's state."""

    window: Float[Array, "batch before width"]
    hidden: Float[Array, "batch width"]


class Block(eqx.Module):
    """A residual block: recurrence, then MLP."""

    recurrent_norm: Norm
    linear_x: Linear
    linear_y: Linear
    convolution: Convolution
    lru: RGLRU
    linear_out: Linear
    mlp_norm: Norm
    mlp_gate: Linear
    mlp_up: Linear
    mlp_down: Linear

    def __init__(self, width: int, heads: int, *, parallel: bool | None = None, key: PRNGKeyArray):
        def named(name: int) -> PRNGKeyArray:
            return jax.random.fold_in(key, name)

        self.recurrent_norm, self.mlp_norm = Norm(width), Norm(width)
        self.linear_x = Linear(width, width, key=named(0))
        self.linear_y = Linear(width, width, key=named(1))
        self.convolution = Convolution(width, key=named(2))
        self.lru = RGLRU(width, heads, parallel=parallel, key=named(3))
        self.linear_out = Linear(width, width, key=named(4))
        self.mlp_gate = Linear(width, width, key=named(5))
        self.mlp_up = Linear(width, width, key=named(6))
        self.mlp_down = Linear(width, width, key=named(7))

    def initial_state(self, batch: int) -> BlockState:
        width = self.lru.decay.shape[0]
        return BlockState(jnp.zeros((batch, WINDOW - 1, width)), jnp.zeros((batch, width)))

    def step(
        self, state: BlockState, rows: Float[Array, "batch width"], starts: Bool[Array, " batch"]
    ) -> tuple[BlockState, Float[Array, "batch width"]]:
        normed = self.recurrent_norm(rows)
        inputs = self.linear_x(normed)
        convolved = self.convolution(state.window, inputs[None], starts[None])[0]
        hidden = self.lru.step(state.hidden, convolved, starts)
        window = jnp.where(starts[:, None, None], 0.0, state.window[:, 1:])
        window = jnp.concatenate([window, inputs[:, None]], axis=1)
        return BlockState(window, hidden), self._out(rows, normed, hidden)

    def sequence(
        self, state: BlockState, rows: Float[Array, "time batch width"], starts: Bool[Array, "time batch"]
    ) -> Float[Array, "time batch width"]:
        normed = self.recurrent_norm(rows)
        convolved = self.convolution(state.window, self.linear_x(normed), starts)
        return self._out(rows, normed, self.lru.sequence(state.hidden, convolved, starts))

    def _out(self, rows, normed, hidden):
        """The block's output from its inputs, these normed, and the recurrence's states."""
        rows = rows + self.linear_out(hidden * jax.nn.gelu(self.linear_y(normed)))
        normed = self.mlp_norm(rows)
        return rows + self.mlp_down(jax.nn.gelu(self.mlp_gate(normed)) * self.mlp_up(normed))


class HawkState(NamedTuple):
    """What a `Hawk` remembers, and what it says of it. `fresh`: the next input is a start."""

    fresh: Bool[Array, " batch"]
    blocks: tuple[BlockState, ...]
    features: Float[Array, "batch width"]


class Hawk(eqx.Module):
    """A linear embedding, residual blocks, a last norm: a recurrent core (see `networks.core.Core`)."""

    embedding: Linear
    blocks: tuple[Block, ...]
    norm: Norm

    def __init__(
        self,
        inputs: int,
        width: int,
        *,
        blocks: int = 1,
        heads: int = HEADS,
        parallel: bool | None = None,
        key: PRNGKeyArray,
    ):
        """`parallel`: run over whole sequences by associative scans, with the same values up to rounding. None: by
        associative scans on any device but a CPU, where steps one after the other are faster.
        """
        check_width(width, heads)
        self.embedding = Linear(inputs, width, key=jax.random.fold_in(key, 0))
        self.blocks = tuple(
            Block(width, heads, parallel=parallel, key=jax.random.fold_in(key, 1 + i)) for i in range(blocks)
        )
        self.norm = Norm(width)

    @property
    def width(self) -> int:
        return self.norm.scale.shape[0]

    def initial_state(self, batch: int) -> HawkState:
        blocks = tuple(block.initial_state(batch) for block in self.blocks)
        return HawkState(jnp.ones((batch,), bool), blocks, jnp.zeros((batch, self.width)))

    def step(self, state: HawkState, inputs: Float[Array, "batch inputs"]) -> HawkState:
        rows, states = self.embedding(inputs), []
        for block, before in zip(self.blocks, state.blocks, strict=True):
            now, rows = block.step(before, rows, state.fresh)
            states.append(now)
        return HawkState(jnp.zeros_like(state.fresh), tuple(states), self.norm(rows))

    def features(self, state: HawkState) -> Float[Array, "batch width"]:
        return state.features

    def sequence(
        self,
        state: HawkState,
        inputs: Float[Array, "time batch inputs"],
        starts: Bool[Array, "time batch"] | None = None,
    ) -> Float[Array, "time batch width"]:
        """The features after each input. `starts`: where a new sequence begins, beside a fresh state's first input."""
        if starts is None:
            starts = jnp.zeros(inputs.shape[:2], bool)
        starts = starts.at[0].set(starts[0] | state.fresh)
        rows = self.embedding(inputs)
        for block, before in zip(self.blocks, state.blocks, strict=True):
            rows = block.sequence(before, rows, starts)
        return self.norm(rows)
