"""Training with Keras: `fit` by maximum likelihood, `distill` from a teacher; flows as Keras' models and layers."""

from tfp_flows.training.distill import distill
from tfp_flows.training.fit import fit
from tfp_flows.training.layer import FlowLayer
from tfp_flows.training.model import FlowModel

__all__ = ["FlowLayer", "FlowModel", "distill", "fit"]
