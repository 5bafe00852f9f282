"""What every elementwise map has."""

from typing import Protocol

import tensorflow as tf

__all__ = ["Elementwise"]


class Elementwise(Protocol):
    """A monotone map of each dimension by parameters of its own; hashable, and equal if it does the same."""

    @property
    def params(self) -> int:
        """Outputs of the network for each dimension."""

    def forward(self, raw: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`raw [..., M, params]`, `u [..., M]` -> x and `log|dx/du|`, each `[..., M]`."""

    def inverse(self, raw: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`raw [..., M, params]`, `x [..., M]` -> u and `log|du/dx|`, each `[..., M]`."""
