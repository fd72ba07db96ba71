"""Makes hawk_reference.npz: an RG-LRU and a residual block of the package `recurrentgemma`, with random weights, their
outputs and the gradients of sum(cotangent * outputs).

The package needs versions of numpy and typeguard that this library's own requirements exclude, hence the file. In an
environment of its own: `pip install 'recurrentgemma[jax]==1.0.1'`, then `python tests/networks/make_hawk_reference.py`.

Arrays are named `<unit>/<what>` and, with the package's names, `<unit>/<what>[path]`; rows are [batch, time, width].
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from recurrentgemma import common
from recurrentgemma.jax import layers, modules

TIME, BATCH, WIDTH, MLP, HEADS, WINDOW = 13, 3, 6, 6, 2, 4
STARTS = {0: (0, 5, 6, 12), 1: (0,), 2: (0, 2)}  # of each sequence in the batch
SLOW = -30.0  # Lambda of one channel: its a is 1 in float32, where the square root is steepest


def positions(skip_first):
    """Place of each input in its own sequence; `skip_first`: the first sequences have begun earlier."""
    places = np.zeros((BATCH, TIME), np.int32)
    for row, starts in STARTS.items():
        for t in range(TIME):
            places[row, t] = t - max(s for s in starts if s <= t)
        if skip_first:
            places[row, : (*starts, TIME)[1]] += 7
    return jnp.asarray(places)


def random_parameters(shapes, rng):
    """Random weights of the shapes of `shapes`; the decays such that a lies between 0 and 1, once at 1."""

    def draw(path, leaf):
        if "a_param" in jax.tree_util.keystr(path):
            return jnp.asarray(rng.uniform(-5, 0, size=leaf.shape), jnp.float32).at[0].set(SLOW)
        return jnp.asarray(0.6 * rng.normal(size=leaf.shape), jnp.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def arrays_of(unit, what, tree):
    return {
        f"{unit}/{what}{jax.tree_util.keystr(path)}": np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def example(unit, module, rng, places, **more):
    """Inputs, weights, outputs and gradients of a flax module of (rows, positions)."""
    rows = jnp.asarray(rng.normal(size=(BATCH, TIME, WIDTH)), jnp.float32)
    cotangent = jnp.asarray(rng.normal(size=rows.shape), jnp.float32)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), rows, places))
    parameters = random_parameters(shapes["params"], rng)

    def outputs(parameters, rows, more):
        return module.apply({"params": parameters}, rows, places, **more)[0]

    made, pull_back = jax.vjp(outputs, parameters, rows, more)
    parameters_bar, rows_bar, more_bar = pull_back(cotangent)
    return (
        {f"{unit}/rows": rows, f"{unit}/cotangent": cotangent, f"{unit}/outputs": made, f"{unit}/rows_bar": rows_bar}
        | {f"{unit}/starts": np.asarray(places == 0)}
        | arrays_of(unit, "weights", parameters)
        | arrays_of(unit, "bar", parameters_bar)
        | arrays_of(unit, "more", more)
        | arrays_of(unit, "more_bar", more_bar)
    )


def main():
    rng = np.random.default_rng(0)
    unit = layers.RGLRU(width=WIDTH, num_heads=HEADS, scan_type=common.ScanType.LINEAR_NATIVE)
    block = modules.ResidualBlock(
        width=WIDTH,
        mlp_expanded_width=MLP,
        num_heads=HEADS,
        attention_window_size=1,
        temporal_block_type=common.TemporalBlockType.RECURRENT,
        scan_type=common.ScanType.LINEAR_NATIVE,
        conv1d_temporal_width=WINDOW,
    )
    hidden = jnp.asarray(rng.normal(size=(BATCH, WIDTH)), jnp.float32)
    arrays = example("unit", unit, rng, positions(True), cache=hidden) | example("block", block, rng, positions(False))
    np.savez_compressed(Path(__file__).with_name("hawk_reference.npz"), **arrays)


if __name__ == "__main__":
    main()
