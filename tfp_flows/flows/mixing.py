"""What mixes the dimensions between two layers of a chain: an order, or a learnt matrix."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow_probability as tfp

from tfp_flows.bijectors import Affine, Permute
from tfp_flows.checks import check_choice
from tfp_flows.errors import InputError
from tfp_flows.words import in_short, plural

__all__ = ["Mixing", "mixing_of"]

tfb = tfp.bijectors
WORDS = ("reverse", "random", "linear", "none")

Order = list[int] | None  # a permutation of 0..D-1; None keeps the order


class Mixing(NamedTuple):
    """What comes before each layer, from the data's end on.

    Attributes:
      orders: a permutation of 0..D-1 before each layer; None keeps the order.
      linear: whether a learnt matrix follows each of them, but for the first layer's.
    """

    orders: list[Order]
    linear: bool

    def before(self, i: int, event_size: int, dtype: str) -> list[tfb.Bijector]:
        """The bijectors before layer i."""
        found = [] if self.orders[i] is None else [Permute(self.orders[i], name=f"permute{i}")]
        if self.linear and i > 0 and event_size > 1:
            # inverted, as an Affine is multiplied with forward, and solved for in its inverse
            matrix = Affine(event_size, dtype=dtype, name=f"linear{i}/matrix")
            found.append(tfb.Invert(matrix, name=f"linear{i}"))
        return found


def mixing_of(
    mixing: str | Sequence[Order], event_size: int, num_layers: int, halves: bool, rng: np.random.Generator
) -> Mixing:
    """What an option `mixing` means; `InputError` if it means nothing.

    Where layers work on halves, neighbours are often alike, and belong apart: columns are dealt into the halves like
    cards before every second layer, and the halves change places before every other one. After 2 log2(D) layers, any
    two columns have been in different halves.
    """
    if not isinstance(mixing, str):
        return Mixing(_checked(mixing, event_size, num_layers), False)
    check_choice("mixing", mixing, WORDS)
    orders: list[Order] = [None] * num_layers
    if event_size > 1 and mixing != "none":
        reverse = list(range(event_size))[::-1]
        for i in range(num_layers):
            if mixing == "random":
                orders[i] = _shuffled(event_size, rng) if i else None
            elif i % 2 or not halves:
                orders[i] = reverse if i else None
            elif i:
                orders[i] = _dealt(event_size)[::-1]
            elif event_size > 2:
                orders[i] = _dealt(event_size)
    return Mixing(orders, mixing == "linear")


def _dealt(event_size: int) -> list[int]:
    """Every second column, then the others: the half that stays, of D // 2 of them, first."""
    first = event_size % 2
    return [*range(first, event_size, 2), *range(1 - first, event_size, 2)]


def _shuffled(event_size: int, rng: np.random.Generator) -> list[int]:
    """A random permutation other than the identity, which would leave one half of a coupling flow as it is."""
    while True:
        shuffled = rng.permutation(event_size).tolist()
        if shuffled != sorted(shuffled):
            return shuffled


def _checked(mixing: Sequence[Order], event_size: int, num_layers: int) -> list[Order]:
    if not isinstance(mixing, list):
        raise InputError(
            f"mixing must be one of {', '.join(WORDS)}, or a list of permutations; got {in_short(mixing)}."
        )
    if len(mixing) != num_layers:
        raise InputError(
            f"mixing must list {plural(num_layers, 'permutation')}, one before each layer; got {len(mixing)}."
        )
    for order in mixing:
        if order is not None and (
            np.asarray(order).dtype.kind not in "iu" or sorted(np.ravel(order)) != list(range(event_size))
        ):
            raise InputError(f"mixing must list permutations of 0..{event_size - 1}; got {in_short(order)}.")
    return [None if order is None else np.ravel(order).tolist() for order in mixing]
