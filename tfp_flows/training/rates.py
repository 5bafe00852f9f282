"""Adam, and how its rate changes while it trains."""

from typing import Any

import tensorflow as tf

from tfp_flows.flow import Flow
from tfp_flows.networks import MADE, MLP

__all__ = ["RATE", "SCHEDULES", "adam", "schedule_for"]

RATE = 5e-3  # of Adam, at its highest, where none is asked for
SCHEDULES = ("cosine", "one_cycle", "constant")
MOST_RISING = 500  # steps in which the rate of a cycle rises, or a tenth of all: benchmarks/flows_and_data.py


def schedule_for(flow: Flow) -> str:
    """The schedule where none is asked for: with waves, whose slopes are steep, first steps must be small."""
    networks = [part for part in flow.submodules if isinstance(part, (MADE, MLP))]
    return "one_cycle" if any(network.features.octaves for network in networks) else "cosine"


def adam(learning_rate: float, schedule: str, steps: int, clip_norm: float | None) -> tf.keras.optimizers.Optimizer:
    """Adam with a clipped gradient; its highest rate, and the schedule of so many steps."""
    rising = min(MOST_RISING, steps // 10) if schedule == "one_cycle" else 0
    rate: Any = learning_rate
    if rising:
        decay = tf.keras.optimizers.schedules.CosineDecay
        rate = decay(learning_rate / rising, steps - rising, warmup_target=learning_rate, warmup_steps=rising)
    elif schedule != "constant":
        rate = tf.keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    return tf.keras.optimizers.Adam(rate, global_clipnorm=None if clip_norm is None else float(clip_norm))
