"""Adam: how its rate changes while it trains, and how far it keeps networks small."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.flow import Flow
from tfp_flows.networks import MADE, MLP
from tfp_flows.networks.dense import Dense

__all__ = ["RATE", "SCHEDULES", "adam", "decay_for", "schedule_for"]

RATE = 5e-3  # of Adam, at its highest, where none is asked for
SCHEDULES = ("cosine", "one_cycle", "constant")
MOST_RISING = 500  # steps in which the rate of a cycle rises, or a tenth of all: benchmarks/flows_and_data.py
# What the decay of a whole training comes to at a rate of RATE or more: the square of so many numbers in kernels a row,
# up to the most. It is less at lower rates, which could not learn again what it takes away, and none in one or two
# columns, where sharp laws lose by it: benchmarks/README.md
NUMBERS_A_ROW, LEAST_DECAY, MOST_DECAY = 15.0, 0.01, 12.0
NONE_IN, ALL_IN = 2, 5  # columns
MOST_OF_A_STEP = 0.01


def schedule_for(flow: Flow) -> str:
    """The schedule where none is asked for: with waves, whose slopes are steep, first steps must be small."""
    networks = [part for part in flow.submodules if isinstance(part, (MADE, MLP))]
    return "one_cycle" if any(network.features.octaves for network in networks) else "cosine"


def decay_for(flow: Flow, rows: int | None, learning_rate: float, steps: int) -> float:
    """The weight decay where none is asked for: few rows, seen again and again, are learnt by heart without.

    None for rows are batches that are drawn afresh.
    """
    if rows is None:
        return 0.0
    numbers = sum(kernel.shape.num_elements() for kernel in _kernels(flow))
    part = np.clip((flow.event_size - NONE_IN) / (ALL_IN - NONE_IN), 0.0, 1.0)
    whole = float(part) * min(MOST_DECAY, (numbers / rows / NUMBERS_A_ROW) ** 2)
    return min(whole / steps, MOST_OF_A_STEP) / max(RATE, learning_rate) if whole >= LEAST_DECAY else 0.0


def _kernels(flow: Flow) -> list[tf.Variable]:
    """Those of the networks of this package, which decay."""
    return [kernel for part in flow.submodules if isinstance(part, Dense) for kernel in part.kernels]


def adam(
    learning_rate: float,
    schedule: str,
    steps: int,
    clip_norm: float | None,
    decay: float = 0.0,
    flow: Flow | None = None,
) -> tf.keras.optimizers.Optimizer:
    """Adam with a clipped gradient; its highest rate, the schedule of so many steps, and decay of a flow's kernels."""
    rising = min(MOST_RISING, steps // 10) if schedule == "one_cycle" else 0
    rate: Any = learning_rate
    if rising:
        cosine = tf.keras.optimizers.schedules.CosineDecay
        rate = cosine(learning_rate / rising, steps - rising, warmup_target=learning_rate, warmup_steps=rising)
    elif schedule != "constant":
        rate = tf.keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    clip = None if clip_norm is None else float(clip_norm)
    made = tf.keras.optimizers.Adam(rate, global_clipnorm=clip, weight_decay=decay or None)
    if decay and flow is not None:
        kernels = {id(kernel) for kernel in _kernels(flow)}
        made.exclude_from_weight_decay([v for v in flow.trainable_variables if id(v) not in kernels])
    return made
