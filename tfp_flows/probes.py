"""What the parts of a flow that no recipe can hold make of fixed numbers: parts that make others are other parts."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["alike", "probes_of", "probes_of_law", "unlike"]

ROWS = 3
TOLERANCE = 1e-3  # between machines; what differs by less is the same to a flow
LARGE = 1e30  # in place of what is infinite, which JSON has no word for


def probes_of(flow: Any, parts: Iterable[str]) -> dict[str, list[float]]:
    """What the context network and the base make of fixed rows, those among `parts` that always make the same of them.

    A part is called as `unwritten` of a recipe calls it: "base", or "distribution of base" for what is inside.
    """
    of_flow = {part.rpartition(" ")[2] for part in parts}
    found = {name: _probed(flow, name) for name in ("base", "context_network") if name in of_flow}
    return {name: numbers for name, numbers in found.items() if numbers is not None}


def unlike(flow: Any, probes: dict[str, Any]) -> list[str]:
    """The parts of a flow that make other numbers than those of `probes_of`."""
    found = probes_of(flow, probes)
    return [name for name, numbers in found.items() if not alike(numbers, probes[name])]


def probes_of_law(law: Any) -> dict[str, list[float]]:
    """The densities that any law, of whatever class, has at fixed rows and at draws of a fixed seed, and those draws.

    Each is there if the law always makes the same of it.
    """
    kwargs = {"context": _rows(law.context_size, law.dtype)} if getattr(law, "context_size", 0) else {}

    def drawn() -> tf.Tensor:
        draws = law.sample(() if kwargs else ROWS, seed=tf.constant([0, 1]), **kwargs)
        return tf.concat([tf.reshape(draws, [-1]), law.log_prob(draws, **kwargs)], 0)

    rows = lambda: law.log_prob(_rows(law.event_shape[-1], law.dtype), **kwargs)  # noqa: E731
    found = {name: _always(numbers) for name, numbers in {"draws": drawn, "rows": rows}.items()}
    return {name: numbers for name, numbers in found.items() if numbers is not None}


def alike(numbers: list[float], saved: Any) -> bool:
    """Whether numbers of a probe are those that were saved, but for what machines differ in."""
    try:
        return len(numbers) == len(saved) and np.allclose(numbers, saved, rtol=TOLERANCE, atol=TOLERANCE)
    except (TypeError, ValueError):  # of a file that somebody has edited
        return False


def _probed(flow: Any, name: str) -> list[float] | None:
    return _always(lambda: _made_of_rows(flow, name))


def _always(numbers: Callable[[], Any]) -> list[float] | None:
    """What a part makes, if it is always the same."""
    try:
        once, again = (np.ravel(numbers()).astype(np.float64) for _ in range(2))
    except Exception:  # whatever a part of the user's raises: it may have no density
        return None
    if not np.array_equal(once, again, equal_nan=True):
        return None
    return np.nan_to_num(once, nan=2 * LARGE, posinf=LARGE, neginf=-LARGE).tolist()


def _made_of_rows(flow: Any, name: str) -> tf.Tensor:
    if name == "context_network":
        return flow.context_network(_rows(flow.context_size, flow.dtype))
    base = flow.distribution
    size = getattr(base, "context_size", 0)
    return base.log_prob(_rows(flow.event_size, flow.dtype), **({"context": _rows(size, flow.dtype)} if size else {}))


def _rows(size: int, dtype: tf.DType) -> tf.Tensor:
    """Numbers of a standardised row, no two alike."""
    return tf.constant(1.5 * np.sin(1.0 + np.arange(ROWS * size).reshape(ROWS, size)), dtype)
