"""Circular columns in a chain, as `{column: period}`: where they are in each layer, and what it has for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import tensorflow_probability as tfp

from tfp_flows.bases import Torus
from tfp_flows.bijectors import Circle, Rotate
from tfp_flows.errors import InputError
from tfp_flows.flows.ends import column_number
from tfp_flows.networks import CircularFourier, Fourier
from tfp_flows.words import in_short

__all__ = ["Circles", "Periods", "check_period", "circles_of"]

LARGEST = np.finfo(np.float64).max
NAMED = ("normal", "student_t", "mixture")

Periods: TypeAlias = Mapping[int, float | tuple[float, float]]


@dataclass(frozen=True)
class Circles:
    """The circular columns of a chain; without any, it has nothing for them.

    ```
    x -> Support -> Circle: [-B, B) -> Standardize, but for them -> layer0 -> permute1 -> Rotate -> layer1 ... -> Torus
    ```

    Attributes:
      ends: low and high of one period of each, by its number from 0.
      places: which columns are circular as rows reach each layer, whose order changes in between.
      event_size: D.
      interval: B, to which the circles are taken, and the splines' own.
      damped_beyond: what networks see of numbers farther off is damped.
      dtype: of the chain.
    """

    ends: dict[int, tuple[float, float]]
    places: Sequence[list[int]]
    event_size: int
    interval: float
    damped_beyond: float | None
    dtype: str

    def at_the_data(self) -> list[Circle]:
        """What takes them to the circle [-B, B)."""
        if not self.ends:
            return []
        low, high = ([self.ends.get(i, (None, None))[side] for i in range(self.event_size)] for side in (0, 1))
        return [Circle(low, high, interval=self.interval, dtype=self.dtype)]

    def before(self, i: int, rng: np.random.Generator) -> list[Rotate]:
        """What turns them before layer i, so that the layers do not all keep one point, the ends of the interval."""
        if not self.ends or i == 0:
            return []
        options = {"interval": self.interval, "rng": rng, "dtype": self.dtype, "name": f"rotate{i}"}
        return [Rotate(self.event_size, self.places[i], **options)]

    def features(self, i: int, octaves: int, size: int) -> Fourier:
        """What the network of layer i sees of the first columns that reach it, so many."""
        circular = tuple(place in self.places[i] for place in range(size))
        damped = {"damped_beyond": self.damped_beyond}
        return (
            CircularFourier(octaves, self.interval, circular, **damped) if any(circular) else Fourier(octaves, **damped)
        )

    def base(self, base: Any) -> Any:
        """The law of the latents, where another law was asked for: uniform in the circular ones."""
        if not self.ends:
            return base
        if not isinstance(base, str) or base not in NAMED:
            got = base.name if isinstance(base, tfp.distributions.Distribution) else in_short(base)
            raise InputError(
                f"base must be one of {', '.join(NAMED)} with circular columns, whose latents are uniform beside it; "
                f"got {got}."
            )
        return Torus(self.event_size, self.places[-1], interval=self.interval, rest=base, dtype=self.dtype)

    def written(self) -> dict[str, list[float]] | None:
        """The option again, in types that JSON has."""
        return {str(column): list(pair) for column, pair in self.ends.items()} or None


def circles_of(options: Mapping[str, Any], whole: Sequence[int], orders: Sequence[Sequence[int] | None]) -> Circles:
    """The circular columns that the options of a chain name, whose columns have those orders before its layers.

    Raises:
      InputError: for a column that is not there, ends that are no period, or an option that would leave the circle.
    """
    circular, event_size = options.get("circular"), options["event_size"]
    if circular is None:
        circular = {}
    if not isinstance(circular, Mapping):
        raise InputError(f"circular must be a dict, as in {{0: 24.0}}; got {in_short(circular)}.")
    columns = [column_number("circular", key, event_size) for key in circular]
    if len(set(columns)) < len(columns):
        raise InputError(f"circular must have one period for each column; got {in_short(list(circular))}.")
    ends = {c: check_period(key, circular[key], c in whole) for c, key in zip(columns, circular, strict=True)}
    if ends:
        _check_beside(options, ends)
    places = [sorted(ends)]
    for order in orders:
        places.append(places[-1] if order is None else [k for k, i in enumerate(np.argsort(order)) if i in places[-1]])
    damped = options.get("damped_beyond")
    if damped is not None and "interval" in options:
        damped = max(damped, options["interval"])  # a spline bends all of it
    return Circles(ends, places[1:], event_size, options.get("interval", 3.0), damped, options["dtype"])


def check_period(key: Any, period: Any, is_whole: bool) -> tuple[float, float]:
    """Low and high of one period of a column; `InputError`, naming `key`, unless that is what it is."""
    pair = period.tolist() if hasattr(period, "tolist") else period
    pair = (0.0, pair) if not isinstance(pair, (list, tuple)) else pair
    got = f"got {in_short(period)} for {in_short(key)}"
    numbers = all(isinstance(end, (int, float, np.number)) and not isinstance(end, bool) for end in pair)
    if len(pair) != 2 or not numbers or not all(abs(end) <= LARGEST for end in pair) or not pair[0] < pair[1]:
        raise InputError(f"circular must be a period above 0, or its ends (low, high), for each column; {got}.")
    if is_whole and any(end != np.floor(end) for end in pair):
        raise InputError(f"circular must have whole ends where a column is of whole numbers; {got}.")
    return float(pair[0]), float(pair[1])


def _check_beside(options: Mapping[str, Any], ends: Mapping[int, Any]) -> None:
    """Raises `InputError` for options that circular columns cannot have beside them."""
    event_size = options["event_size"]
    both = [key for key in options["support"] or () if column_number("support", key, event_size) in ends]
    if both:
        raise InputError(f"support must be of other columns than circular; got {both[0]!r} in both.")
    if options["tails"] != "equal":
        raise InputError(
            f"tails must be 'equal' with circular columns, whose ends are one point; got {in_short(options['tails'])}."
        )
    if isinstance(options["mixing"], str) and options["mixing"] == "linear":
        raise InputError("mixing must not be 'linear' with circular columns, as a matrix does not keep their circle.")
    for option in ("act_norm", "batch_norm", "affine"):
        if options[option]:
            raise InputError(f"{option} must be False with circular columns, as it does not keep their circle.")
