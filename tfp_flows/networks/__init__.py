"""Conditioners as `tf.Module`s: Keras-free, with all their variables from the start."""

from tfp_flows.networks.conv_net import ConvNet
from tfp_flows.networks.features import CircularFourier, Fourier
from tfp_flows.networks.made import MADE
from tfp_flows.networks.mlp import MLP
from tfp_flows.networks.shift_and_log_scale import ShiftAndLogScale

__all__ = ["MADE", "MLP", "CircularFourier", "ConvNet", "Fourier", "ShiftAndLogScale"]
