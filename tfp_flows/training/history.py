"""What a training returns, for type checkers: Keras' own class has no types that they could read."""

from typing import Protocol

from tfp_flows.evidence import Importance

__all__ = ["DensityHistory", "History"]


class History(Protocol):
    """Keras' `History`: a list of values an epoch for each name in the logs, and which epoch's weights were kept."""

    history: dict[str, list[float]]
    epoch: list[int]
    best_epoch: int | None


class DensityHistory(History, Protocol):
    """What `fit_density` returns: draws of the flow, weighted by the density; the part of its mass that they miss."""

    importance: Importance
    missed: float | None
