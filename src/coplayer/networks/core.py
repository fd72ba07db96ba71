"""Recurrent cores: what models ask of a recurrent network, whichever it is.

A model on a core is an `OnCore`. Arrays have the batch first, as rows; a state is a pytree of such arrays.
"""

from typing import Literal, Protocol, get_args, runtime_checkable

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from coplayer.errors import require
from coplayer.networks.gru import GRU
from coplayer.networks.hawk import Hawk, check_width

CoreKind = Literal["gru", "hawk"]


@runtime_checkable
class Core(Protocol):
    """A recurrent network without read-outs."""

    @property
    def width(self) -> int:
        """Length of the features."""

    def initial_state(self, batch: int) -> PyTree:
        """The state before the first input."""

    def step(self, state: PyTree, inputs: Float[Array, "batch inputs"]) -> PyTree:
        """The state after one more input."""

    def features(self, state: PyTree) -> Float[Array, "*batch width"]:
        """What linear read-outs are applied to, in a state after at least one input."""

    def sequence(self, state: PyTree, inputs: Float[Array, "time batch inputs"]) -> Float[Array, "time batch width"]:
        """The features after each input: the same as by steps, faster where a gradient is taken."""


def check_core(kind: str, hidden: int) -> None:
    """Refuse a core that cannot be made."""
    require(kind in get_args(CoreKind), f"core: must be gru or hawk, got {kind!r}")
    if kind == "hawk":
        check_width(hidden)


def new_core(kind: CoreKind, inputs: int, hidden: int, key: PRNGKeyArray) -> GRU | Hawk:
    """A core whose features have length `hidden`: a GRU, or a Hawk of one block with two heads."""
    check_core(kind, hidden)
    return GRU(inputs, hidden, key=key) if kind == "gru" else Hawk(inputs, hidden, key=key)


class OnCore(eqx.Module):
    """A model on one core, which is kept under the name of its kind: so are its arrays in the files of a run."""

    gru: GRU | None
    hawk: Hawk | None

    def __init__(self, core: GRU | Hawk):
        self.gru = core if isinstance(core, GRU) else None
        self.hawk = core if isinstance(core, Hawk) else None

    @property
    def core(self) -> GRU | Hawk:
        return self.hawk if self.gru is None else self.gru
