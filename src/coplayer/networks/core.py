"""Recurrent cores: what models ask of a recurrent network, whichever it is.

A new core is one file with a class that meets `Core`, and an entry in `CORES`. A model on a core is an `OnCore`. Inputs
and features have the batch on the first axis, as rows. A state is a pytree of arrays with the batch first.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from coplayer.errors import CoplayerError, in_short, require, require_whole
from coplayer.networks.gru import GRU
from coplayer.networks.hawk import Hawk


@runtime_checkable
class Core(Protocol):
    """A recurrent network without read-outs: an equinox Module. `cls(inputs, hidden, key=key)` makes one for inputs of
    length `inputs`, with features of length `hidden`.
    """

    @property
    def width(self) -> int:
        """Length of the features."""

    def initial_state(self, batch: int) -> PyTree:
        """The state before the first input."""

    def step(self, state: PyTree, inputs: Float[Array, "batch inputs"]) -> PyTree:
        """The state after one more input."""

    def features(self, state: PyTree) -> Float[Array, "*batch width"]:
        """The features of a state after at least one input, to which models apply their linear read-outs."""

    def sequence(self, state: PyTree, inputs: Float[Array, "time batch inputs"]) -> Float[Array, "time batch width"]:
        """The features after each input, from `state` on. The values are those of repeated `step`; the gradient may be
        faster.
        """


CORES: dict[str, Callable[..., Core]] = {"gru": GRU, "hawk": Hawk}
"""Cores by name, as `--core` takes them."""


def check_core(kind: str, hidden: int) -> None:
    """Refuse a core that cannot be made, without making it."""
    try:
        jax.eval_shape(lambda key: new_core(kind, 1, hidden, key), jax.random.key(0))
    except CoplayerError:
        raise
    except Exception as error:
        raise CoplayerError(f"core: {kind} of width {hidden} cannot be made ({in_short(error)})") from error


def new_core(kind: str, inputs: int, hidden: int, key: PRNGKeyArray) -> Core:
    """A core of the kind `kind`, for inputs of length `inputs`, whose features have length `hidden`.

    Raises `CoplayerError` for a kind that is not in `CORES`, and for a width that the core cannot have.
    """
    require(isinstance(kind, str) and kind in CORES, f"core: must be one of {', '.join(CORES)}, got {kind!r}")
    require_whole("hidden", hidden, at_least=1)
    make = CORES[kind]
    core = make(inputs, hidden, key=key) if callable(make) else make
    require(isinstance(core, Core), f"core: {kind} makes no core (see coplayer.networks.core.Core), but {core!r}")
    return core


class OnCore(eqx.Module):
    """A model on one core."""

    core: Core
