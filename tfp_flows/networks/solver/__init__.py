"""An autoregressive network solved: all dimensions, one after another, at the cost of about one pass.

`plan` says which units can be computed when, `sweep` computes them, `solve` makes of it the inverse of an elementwise
map and gives it gradients.
"""

from tfp_flows.networks.solver.plan import BLOCK, Plan, block_for
from tfp_flows.networks.solver.solve import solve

__all__ = ["BLOCK", "Plan", "block_for", "solve"]
