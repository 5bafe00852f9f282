"""What every dataset offers: fresh samples, the exact density, the entropy."""

import abc
import numbers
from typing import Any, NamedTuple

import numpy as np

from tfp_flows.datasets.table import as_rows
from tfp_flows.errors import InputError
from tfp_flows.words import in_short

__all__ = ["Dataset", "Split"]

Limits = tuple[tuple[float, float], tuple[float, float]]

# log_prob works on this many rows at a time, so that its intermediate arrays stay in the processor's cache.
_CHUNK = 2048


class Split(NamedTuple):
    """Rows for training, for choosing when to stop, and for the final number: float32 `[n, D]` each."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


class Dataset(abc.ABC):
    """A law p(x) that is known exactly, and as many samples of it as one asks for.

    Attributes:
      name: what `tfp_flows.datasets.make` calls it.
      config: its options; `make(name, **config)` builds it again.
      event_size: D, the number of columns of a row.
      train_size: how many rows `split` gives for training, unless told.
      limits: `((xmin, xmax), (ymin, ymax))`, a frame for plots that holds nearly all of the mass.
      has_edges: whether the density jumps somewhere.
    """

    has_edges: bool = False
    event_size: int = 2
    train_size: int = 10_000

    def __init__(self, name: str, config: dict[str, Any], limits: Limits) -> None:
        self.name = name
        self.config = config
        self.limits = limits

    @property
    @abc.abstractmethod
    def entropy(self) -> float:
        """`-E[log p(x)]` in nats: no model's expected negative log-likelihood can be lower."""

    @abc.abstractmethod
    def _sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw `[n, D]`."""

    @abc.abstractmethod
    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        """Evaluate log p at `x`, float64 `[n, D]`."""

    def sample(self, n: int, seed: int | np.random.Generator | None = None) -> np.ndarray:
        """Draw independent rows of the law.

        Args:
          n: how many, 0 or more.
          seed: an int, for the same rows every time; a `np.random.Generator`, to go on drawing from it; or
            None, for rows that nobody can draw again.

        Returns:
          float32 `[n, D]`.

        Raises:
          InputError: if `n` or `seed` is none of these.

        >>> from tfp_flows import datasets
        >>> datasets.two_moons().sample(1000, seed=0).shape
        (1000, 2)
        """
        return self._sample(_count("n", n), _generator(seed)).astype(np.float32)

    def log_prob(self, x: Any) -> np.ndarray:
        """Evaluate the exact log-density.

        Args:
          x: `[n, D]`, finite, in the units of the samples; anything that `as_rows` accepts.

        Returns:
          float64 `[n]`, nats; -inf outside the support.

        Raises:
          InputError: if `x` has another shape, or holds NaN, infinities or no numbers.

        >>> from tfp_flows import datasets
        >>> datasets.banana().log_prob([[0.0, 0.0], [4.0, 4.0]]).round(4)
        array([-3.2242, -3.7242])
        """
        if np.shape(x) == (
            0,
            self.event_size,
        ):  # as_rows refuses an empty table; log_prob(sample(0)) is no error
            return np.zeros(0)
        x = as_rows(x, event_size=self.event_size).astype(np.float64)
        with np.errstate(over="ignore"):  # at 1e200 the squared distance is inf and the answer, -inf, is right
            chunks = [self._log_prob(x[i : i + _CHUNK]) for i in range(0, len(x), _CHUNK)]
        return np.concatenate(chunks)

    def split(self, seed: int | np.random.Generator = 0, n: tuple[int, int, int] | None = None) -> Split:
        """Draw rows for training, validation and test from three independent streams.

        The streams differ from those of `sample` with the same seed, and the test rows do not change when
        another number of training rows is asked for.

        Args:
          seed: as for `sample`.
          n: how many rows of each; by default `(train_size, 2000, 10000)`, where `train_size` is 9800 for
            SIGGRAPH and 1000 for Two Moons, as in the tutorial, and 10000 for the others.

        Returns:
          A `Split(train, validation, test)`.

        Raises:
          InputError: if `seed` or `n` is none of these.

        >>> from tfp_flows import datasets
        >>> [len(rows) for rows in datasets.two_moons().split(seed=0)]
        [1000, 2000, 10000]
        """
        sizes = (self.train_size, 2000, 10_000) if n is None else n
        if not isinstance(sizes, tuple | list) or len(sizes) != 3:
            raise InputError(f"n is {in_short(n)}; expected three sizes: (train, validation, test).")
        streams = _generator(seed).spawn(3)
        return Split(*(self.sample(size, stream) for size, stream in zip(sizes, streams, strict=True)))

    def __repr__(self) -> str:
        options = ", ".join(f"{key}={value!r}" for key, value in self.config.items())
        (left, right), (low, high) = self.limits
        return (
            f"{self.name}({options})  # rows of {self.event_size}, entropy {self.entropy:.4f} nats, "
            f"x in {left:.3g}..{right:.3g}, y in {low:.3g}..{high:.3g}"
        )


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 0:
        raise InputError(f"{name} is {in_short(value)}; expected a whole number, 0 or more.")
    return int(value)


def _generator(seed: Any) -> np.random.Generator:
    if isinstance(seed, np.random.Generator):
        return seed
    return np.random.default_rng(None if seed is None else _count("seed", seed))
