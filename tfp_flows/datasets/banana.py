"""A Gaussian bent along a parabola."""

import numpy as np

from tfp_flows.checks import check_number
from tfp_flows.datasets.dataset import Dataset

__all__ = ["banana"]


def banana(scale: float = 4.0) -> Dataset:
    """Build the curved density that the tutorial's part 1 learns, and the MAF paper's Figure 1.

    The law, columns (x1, x2):

        x2 ~ N(0, scale^2),  x1 | x2 ~ N(x2^2 / 4, 1)
        entropy = log(scale) + log(2 pi e)

    Args:
      scale: the standard deviation of x2, from 0.01 to 100: 4 in the tutorial, 2 in the paper.

    Raises:
      InputError: if `scale` is not such a number.

    References:
      [1]: Eric Jang, "Normalizing Flows Tutorial, Part 1: Distributions and Determinants", 2018.
      [2]: Papamakarios, Pavlakou, Murray, "Masked Autoregressive Flow for Density Estimation",
           arXiv:1705.07057, Figure 1 (scale 2).

    >>> from tfp_flows import datasets
    >>> datasets.banana()
    banana(scale=4.0)  # rows of 2, entropy 4.2242 nats, x in -3.5..39.5, y in -12..12
    """
    return _Banana(check_number("scale", scale, 0.01, 100))


class _Banana(Dataset):
    def __init__(self, scale: float) -> None:
        reach = 3 * scale
        super().__init__("banana", {"scale": scale}, ((-3.5, reach**2 / 4 + 3.5), (-reach, reach)))
        self._scale = scale

    @property
    def entropy(self) -> float:
        return float(np.log(self._scale) + np.log(2 * np.pi * np.e))

    def _sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        z = rng.standard_normal((n, 2))
        x2 = self._scale * z[:, 1]
        return np.stack([x2**2 / 4 + z[:, 0], x2], axis=1)

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        x1, x2 = x.T
        squares = (x1 - x2**2 / 4) ** 2 + (x2 / self._scale) ** 2
        return -0.5 * squares - np.log(2 * np.pi) - np.log(self._scale)
