"""The axes a training function is mapped over: learners, who may each have a device, and seeds.

Arrays of all learners and seeds have the leading axes [learner, seed]. Inside a mapped function the learners share the
axis name `LEARNERS`, over which they can exchange their actions.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from coplayer.errors import require

LEARNERS, SEEDS = "learners", "seeds"


def map_learners_and_seeds(function: Callable, *, num_learners: int, seed_batch: int) -> Callable:
    """Map `function(mapped, shared)` over the leading axes [learner, seed] of `mapped`; `shared` is the same for all.

    The learners are spread over as many devices as there are, if these suffice for all of them, and are vmapped on one
    device otherwise. Further devices take a share of the seeds each, where these can be parted evenly. The devices are
    those of all processes. The learners of a seed are on devices side by side, of one host where it has enough.

    On a device seeds go `seed_batch` at a time through vmap: all together on a GPU, one by one on a CPU. A CPU's caches
    hold one seed's working set and not many. One by one means without vmap: an axis of length 1 makes every product a
    batched one. XLA compiles that to slower code on a CPU (measured: PPI 8 %, A2C half the speed).
    """

    def over_seeds(mapped, shared):
        each = 1 if seed_batch == 1 else min(seed_batch, _seeds(mapped, axis=0))
        return jax.lax.map(lambda one: function(one, shared), mapped, batch_size=None if each == 1 else each)

    def one_learner(mapped, shared):
        result = over_seeds(jax.tree.map(lambda leaf: leaf[0], mapped), shared)
        return jax.tree.map(lambda leaf: leaf[None], result)

    def spread(mapped, shared):
        grid = _devices(num_learners, _seeds(mapped, axis=1))
        if len(grid) == num_learners:
            mesh, split, run = Mesh(grid, (LEARNERS, SEEDS)), PartitionSpec(LEARNERS, SEEDS), one_learner
        else:
            mesh, split = Mesh(grid[0], (SEEDS,)), PartitionSpec(None, SEEDS)
            run = jax.vmap(over_seeds, in_axes=(0, None), axis_name=LEARNERS)
        placed = jax.shard_map(run, mesh=mesh, in_specs=(split, PartitionSpec()), out_specs=split, check_vma=False)
        return placed(mapped, shared)

    return spread


def require_work_for_all(num_learners: int, seeds: int) -> None:
    """Refuse learners and seeds that leave a process without a device to train on."""
    grid = _devices(num_learners, seeds)
    idle = set(range(jax.process_count())) - {device.process_index for device in grid.flat}
    require(
        not idle,
        f"distributed: {num_learners} learners and {seeds} seed(s) go over {grid.size} of {jax.device_count()} "
        f"devices, which leaves process {min(idle, default=0)} without work; start fewer processes, or take a number "
        "of seeds that the devices share evenly",
    )


def _devices(num_learners: int, seeds: int) -> np.ndarray:
    """The devices by learner and share of the seeds; one row where the learners are together on each device."""
    devices = jax.devices()
    learners = num_learners if num_learners <= len(devices) else 1
    columns = max(n for n in range(1, len(devices) // learners + 1) if seeds % n == 0)
    return np.array(devices[: learners * columns]).reshape(columns, learners).T


def one_by_one(function: Callable) -> Callable:
    """The function, of arrays alone, which vmap runs for one learner after the other on a CPU. There a product for each
    is faster than a batched one (measured: PPO of four learners 1.5 times).
    """
    return jax.custom_batching.sequential_vmap(function) if jax.default_backend() == "cpu" else function


def _seeds(mapped, *, axis: int) -> int:
    return jax.tree.leaves(mapped)[0].shape[axis]


def exchange_between_learners(values: jax.Array) -> jax.Array:
    """What the others hold of the same episodes, `[episodes]`.

    The episodes are in as many equal groups as there are others. Group k of learner i is the episodes that it shares
    with learner i + k, counted in a circle. For that one they are group L - k.
    """
    if not values.size:
        return values
    count = jax.lax.axis_size(LEARNERS)
    groups = jnp.split(values, count - 1)
    opposite = [
        jax.lax.ppermute(groups[count - k - 1], LEARNERS, [((i + k) % count, i) for i in range(count)])
        for k in range(1, count)
    ]
    return jnp.concatenate(opposite)


def of_all_learners(values: Any) -> Any:
    """The arrays of all learners in place of one's own, `[learner, ...]`."""
    return jax.lax.all_gather(values, LEARNERS)
