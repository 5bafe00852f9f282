"""What a training returns, for type checkers: Keras' own class has no types that they could read."""

from typing import Protocol

__all__ = ["History"]


class History(Protocol):
    """Keras' `History`: a list of values an epoch for each name in the logs, and which epoch's weights were kept."""

    history: dict[str, list[float]]
    epoch: list[int]
    best_epoch: int | None
