"""Whether two sets of rows have one law: the energy distance, against what chance alone makes of it."""

from typing import NamedTuple

import numpy as np

__all__ = ["Energy", "energy_test"]

PERMUTATIONS = 3_999  # the least p is 1 / 4,000
PIECE = 500  # permutations at a time


class Energy(NamedTuple):
    """The energy distance of two sets of rows, and the probability of one as large by chance."""

    distance: float
    p_value: float


def energy_test(x: np.ndarray, y: np.ndarray, *, paired: bool = False, seed: int = 0) -> Energy:
    """Tests that rows `x [N, D]` and `y [N, D]` have one law.

    ```
    E = 2 mean|x[i] - y[j]| - mean|x[i] - x[j]| - mean|y[i] - y[j]|        0 where the laws are one, else above
    p = (1 + #{random exchanges with as large an E}) / (1 + 3,999)
    ```

    Exchanged are rows of x for rows of y: any, or with `paired` x[i] for y[i] alone, as rows at one context are
    exchangeable where those at others are not. Under one law p is uniform, whatever the law and the number of rows.

    Columns should be of one size: distances are Euclidean.

    Source: Székely, Rizzo, Testing for equal distributions in high dimension, InterStat 5 (2004).

    Example:

    >>> import numpy as np
    >>> x, y = np.random.default_rng(0).normal(size=(2, 200, 2))
    >>> energy_test(x, y).p_value > 0.05, energy_test(x, y + 1.0).p_value
    (True, 0.00025)
    """
    count, rng = len(x), np.random.default_rng(seed)
    rows = np.concatenate([x, y]).astype(np.float64)
    distances = _distances(rows)
    sides = np.repeat([1.0, -1.0], count)
    energy = lambda s: -np.einsum("ip,ip->p", s, distances @ s) / count**2  # noqa: E731
    found = energy(sides[:, None])[0]
    larger = 0
    for start in range(0, PERMUTATIONS, PIECE):
        size = min(PIECE, PERMUTATIONS - start)
        if paired:
            flips = rng.choice([1.0, -1.0], size=(count, size))
            signs = np.concatenate([flips, -flips])
        else:
            signs = rng.permuted(np.repeat(sides[:, None], size, axis=1), axis=0)
        larger += int((energy(signs) >= found - 1e-12 * abs(found)).sum())
    return Energy(float(found), (1 + larger) / (1 + PERMUTATIONS))


def _distances(rows: np.ndarray) -> np.ndarray:
    """Euclidean distances `[M, M]`, a row at a time: of differences, which squares alone would lose."""
    return np.stack([np.sqrt(((rows - row) ** 2).sum(axis=1)) for row in rows])
