"""Training with Keras: `fit` by maximum likelihood, `distill` from a teacher, `fit_density` to a density.

And flows as Keras' models and layers.
"""

from tfp_flows.training.distill import distill
from tfp_flows.training.fit import fit
from tfp_flows.training.fit_density import fit_density
from tfp_flows.training.layer import FlowLayer
from tfp_flows.training.model import FlowModel

__all__ = ["FlowLayer", "FlowModel", "distill", "fit", "fit_density"]
