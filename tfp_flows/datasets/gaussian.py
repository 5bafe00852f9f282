"""The tutorial's correlated Gaussian."""

import numpy as np

from tfp_flows.datasets.dataset import Dataset

__all__ = ["gaussian"]

_MEAN = np.array([0.4, 1.0])
_FACTOR = np.array([[2.0, 0.3], [-1.0, 4.0]])
_LOG_VOLUME = float(np.linalg.slogdet(_FACTOR)[1])


def gaussian() -> Dataset:
    """Build the Gaussian that the tutorial's part 1 starts from.

    The law, with `A = [[2, 0.3], [-1, 4]]`:

        x = m + A^T z,  z ~ N(0, I),  m = [0.4, 1],  covariance A^T A = [[5, -3.4], [-3.4, 16.09]]
        entropy = log(2 pi e) + log |det A|

    Reference: Eric Jang, "Normalizing Flows Tutorial, Part 1: Distributions and Determinants", 2018.

    >>> from tfp_flows import datasets
    >>> datasets.gaussian()
    gaussian()  # rows of 2, entropy 4.9541 nats, x in -7.43..8.23, y in -13..15
    """
    return _Gaussian()


class _Gaussian(Dataset):
    def __init__(self) -> None:
        reach = 3.5 * np.sqrt(np.diag(_FACTOR.T @ _FACTOR))
        (left, low), (right, high) = (_MEAN - reach).tolist(), (_MEAN + reach).tolist()
        super().__init__("gaussian", {}, ((left, right), (low, high)))

    @property
    def entropy(self) -> float:
        return float(np.log(2 * np.pi * np.e)) + _LOG_VOLUME

    def _sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return _MEAN + rng.standard_normal((n, 2)) @ _FACTOR

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        z = np.linalg.solve(_FACTOR.T, (x - _MEAN).T)
        return -0.5 * np.sum(z**2, axis=0) - np.log(2 * np.pi) - _LOG_VOLUME
