"""What a train step of MAF has to compute."""

import itertools
from bisect import bisect_left, bisect_right

from protocol import Case

__all__ = ["step_flops"]


def step_flops(case: Case) -> tuple[float, float]:
    """Floating-point operations of the matrix products in a train step: of all weights, and of those in the masks.

    A product of a batch with a kernel takes two operations a weight and row, and its gradient in the kernel and in
    the rows as many each: six. Activations and Adam are not counted.
    """
    full, masked = _weights(case)
    return 6.0 * case.batch * case.layers * full, 6.0 * case.batch * case.layers * masked


def _weights(case: Case) -> tuple[int, int]:
    """Weights of one layer's network: all, and those that no mask sets to zero."""
    inputs = list(range(1, case.event_size + 1))
    degrees = [inputs, *(_spread(units, case.event_size) for units in case.hidden)]
    full = masked = 0
    for before, after in itertools.pairwise(degrees):
        full += len(before) * len(after)
        masked += sum(bisect_right(before, degree) for degree in after)
    last = degrees[-1]
    return full + 2 * len(last) * len(inputs), masked + 2 * sum(bisect_left(last, degree) for degree in inputs)


def _spread(units: int, event_size: int) -> list[int]:
    """Degrees from 1 to D - 1, ascending and in equal numbers."""
    return [1 + i * (event_size - 1) // units for i in range(units)]
