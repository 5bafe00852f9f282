"""Batch norm in a training: it needs a batch whole, and statistics of all rows that somebody sets."""

import warnings

from tfp_flows.bijectors import BatchNorm
from tfp_flows.errors import InputError
from tfp_flows.flow import Flow

__all__ = ["check_whole_batches", "has_batch_norm", "warn_of_batch_norm"]


def has_batch_norm(flow: Flow) -> bool:
    """Whether any of the flow's layers is one."""
    return any(isinstance(layer, BatchNorm) for layer in flow.every_layer)


def check_whole_batches(flow: Flow, devices: int) -> None:
    """Raises `InputError` for a flow that needs a batch whole, where several devices share it."""
    if has_batch_norm(flow):
        raise InputError(
            f"batch norm takes its statistics from a whole batch, which a strategy cuts into {devices}: build the flow "
            "with batch_norm=False."
        )


def warn_of_batch_norm(flow: Flow) -> None:
    """Warns, where Keras trains, that nothing sets the statistics which every other call will use."""
    if has_batch_norm(flow):
        warnings.warn(
            f"batch norm of {flow.name} keeps no statistics in Keras' own fit, and validations use those that it had: "
            "call flow.set_batch_norm(rows) afterwards; tff.fit does so before every validation.",
            stacklevel=3,
        )
