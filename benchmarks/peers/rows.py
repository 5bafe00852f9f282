"""Rows that every framework gets alike."""

import numpy as np
from protocol import Case

__all__ = ["epoch_rows", "rows"]


def rows(case: Case, count: int | None = None) -> np.ndarray:
    """`count` rows of the case, by default a batch: a standard Gaussian, float32 `[count, D]`."""
    shape = (count or case.batch, case.event_size)
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def epoch_rows(case: Case) -> np.ndarray:
    """As many rows as an epoch takes."""
    return rows(case, case.batch * case.epoch_steps)
