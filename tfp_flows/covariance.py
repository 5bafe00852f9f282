"""The correlations of rows, shrunk where rows are few."""

import numpy as np

__all__ = ["MOST_COLUMNS", "is_narrow", "shrunk_correlation"]

MOST_COLUMNS = 128  # for which a matrix costs nothing beside a network
NARROW = 0.03  # variance of a combination of columns, of size 1, below which whitening pays: benchmarks/quality.py
FOLDS = 5
SHRINKAGES = np.geomspace(0.5, 1e-8, 32)  # of equal ones the first, as among those of two rows
MOST_ROWS = 20_000  # to choose the shrinkage by; all are used for the correlations


def shrunk_correlation(z: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """`(1 - a) C + a I`, C the correlations `[D, D]` of rows `z [N, D]` of mean 0 and standard deviation 1.

    The a is that of a few under which a Gaussian gives the median row that was left out the highest density. That is
    what whitening is for; rules that minimise squares, such as that of Ledoit and Wolf, shrink much too far where
    columns are nearly collinear. A column that is constant, and zero, is correlated with none.

    Source: cross-validated ridge estimates of a covariance, as in Warton, Penalized normal likelihood and ridge
    regularization of correlation and covariance matrices, JASA 2008.
    """
    weights = np.ones(len(z)) if weights is None else weights
    few = np.random.default_rng(0).permutation(len(z))[:MOST_ROWS]
    a = SHRINKAGES[np.argmin(_left_out_nll(z[few], weights[few]))]
    return (1 - a) * _correlation(z, weights) + a * np.eye(z.shape[1])


def is_narrow(z: np.ndarray, weights: np.ndarray | None = None) -> bool:
    """Whether a combination of columns, with coefficients whose squares sum to one, nearly is constant."""
    correlation = _correlation(z, np.ones(len(z)) if weights is None else weights)
    return bool(np.linalg.eigvalsh(correlation)[0] < NARROW)


def _correlation(z: np.ndarray, weights: np.ndarray) -> np.ndarray:
    correlation = _moments(z, weights)
    size = np.sqrt(np.diag(correlation))
    correlation /= np.outer(size, size)
    np.fill_diagonal(correlation, 1.0)
    return correlation


def _moments(z: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The mean products of columns, `[D, D]`; of a column that is zero, those of one that is correlated with none."""
    moments = (z * weights[:, None]).T @ z / weights.sum()
    return moments + np.diag(np.diag(moments) == 0)


def _left_out_nll(z: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The median NLL of rows in a Gaussian whose covariance is that of the other rows, for each shrinkage.

    Of heavy tails a few rows would decide on the mean: it cost 1.8 nats on the benign rows of breast_cancer.
    """
    nll = np.zeros(len(SHRINKAGES))
    fold = np.arange(len(z)) % FOLDS
    for k in range(FOLDS):
        here, others = fold == k, fold != k
        if not weights[here].any() or not weights[others].any():
            continue
        # not correlations, which would be of other standard deviations than those of the rows that are left out
        mean = np.average(z[others], axis=0, weights=weights[others])  # else a row is minus the sum of all others
        eigenvalues, vectors = np.linalg.eigh(_moments(z[others] - mean, weights[others]))
        shrunk = (1 - SHRINKAGES[:, None]) * np.maximum(eigenvalues, 0.0) + SHRINKAGES[:, None]
        distances = ((z[here] - mean) @ vectors) ** 2 @ (1 / shrunk).T
        nll += weights[here].sum() * (np.log(shrunk).sum(axis=1) + _medians(distances, weights[here]))
    return nll


def _medians(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted median of each column of `values [N, A]`."""
    order = np.argsort(values, axis=0)
    reached = np.cumsum(weights[order], axis=0)
    middle = np.argmax(reached >= reached[-1] / 2, axis=0)
    return values[order[middle, np.arange(values.shape[1])], np.arange(values.shape[1])]
