"""The layers of flows: each a `tfb.Bijector`, usable alone."""

from tfp_flows.bijectors.act_norm import ActNorm
from tfp_flows.bijectors.affine import Affine
from tfp_flows.bijectors.autoregressive import Autoregressive
from tfp_flows.bijectors.batch_norm import BatchNorm
from tfp_flows.bijectors.channel_mixing import ChannelMixing
from tfp_flows.bijectors.circle import Circle
from tfp_flows.bijectors.coupling import Coupling
from tfp_flows.bijectors.leaky_relu import LeakyReLU
from tfp_flows.bijectors.masked_autoregressive_flow import MaskedAutoregressiveFlow
from tfp_flows.bijectors.nice import NICE
from tfp_flows.bijectors.permute import Permute
from tfp_flows.bijectors.planar import Planar
from tfp_flows.bijectors.power import Power
from tfp_flows.bijectors.real_nvp import RealNVP
from tfp_flows.bijectors.recomputing_chain import RecomputingChain
from tfp_flows.bijectors.reversible_chain import ReversibleChain
from tfp_flows.bijectors.rotate import Rotate
from tfp_flows.bijectors.scale import Scale
from tfp_flows.bijectors.spline_coupling import SplineCoupling
from tfp_flows.bijectors.standardize import Standardize
from tfp_flows.bijectors.support import Support

__all__ = [
    "NICE",
    "ActNorm",
    "Affine",
    "Autoregressive",
    "BatchNorm",
    "ChannelMixing",
    "Circle",
    "Coupling",
    "LeakyReLU",
    "MaskedAutoregressiveFlow",
    "Permute",
    "Planar",
    "Power",
    "RealNVP",
    "RecomputingChain",
    "ReversibleChain",
    "Rotate",
    "Scale",
    "SplineCoupling",
    "Standardize",
    "Support",
]
