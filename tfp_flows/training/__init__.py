"""Training flows with Keras."""

from tfp_flows.training.fit import fit
from tfp_flows.training.model import FlowModel

__all__ = ["FlowModel", "fit"]
