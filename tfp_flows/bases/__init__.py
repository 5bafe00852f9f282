"""The laws that latents may have: what a flow's layers make the data's law of."""

from tfp_flows.bases.choice import as_base
from tfp_flows.bases.gaussian import Gaussian
from tfp_flows.bases.mixture import Mixture
from tfp_flows.bases.student_t import StudentT
from tfp_flows.bases.torus import Torus

__all__ = ["Gaussian", "Mixture", "StudentT", "Torus", "as_base"]
