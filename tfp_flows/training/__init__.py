"""Training with Keras: `fit` by maximum likelihood, `distill` from a teacher, `FlowModel` for Keras itself."""

from tfp_flows.training.distill import distill
from tfp_flows.training.fit import fit
from tfp_flows.training.model import FlowModel

__all__ = ["FlowModel", "distill", "fit"]
