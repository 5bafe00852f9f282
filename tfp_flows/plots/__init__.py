"""Figures of a flow and its data: each function returns a Matplotlib figure, and draws in one call."""

from tfp_flows.plots.animation import animate_flow
from tfp_flows.plots.calibration import calibration
from tfp_flows.plots.corner import corner
from tfp_flows.plots.density import density, gap_map, integral, log_prob_of
from tfp_flows.plots.frames import Limits, limits_of
from tfp_flows.plots.history import loss_curve
from tfp_flows.plots.images import images
from tfp_flows.plots.layers import grid_warp, layers
from tfp_flows.plots.samples import samples
from tfp_flows.uniformity import uniformity

__all__ = [
    "Limits",
    "animate_flow",
    "calibration",
    "corner",
    "density",
    "gap_map",
    "grid_warp",
    "images",
    "integral",
    "layers",
    "limits_of",
    "log_prob_of",
    "loss_curve",
    "samples",
    "uniformity",
]
