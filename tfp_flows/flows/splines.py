"""The elementwise map of chains of splines."""

from tfp_flows.checks import check_flags
from tfp_flows.elementwise import Affine, Composed, Elementwise, Spline
from tfp_flows.elementwise.spline import check_bins

__all__ = ["spline_map"]

LOG_SCALE_BOUND = 1.0  # of a layer: of rows ten deviations off, a bound of 5 made log-densities of -4e16


def spline_map(num_bins: int, interval: float, logit_bound: float | None, tails: str, affine: bool) -> Elementwise:
    """A spline, after an affine map on the side of the data if there is one; `InputError` for options of neither."""
    check_bins(num_bins=num_bins)
    check_flags(affine=affine)
    spline = Spline(num_bins, interval, logit_bound, tails)
    return Composed((Affine(LOG_SCALE_BOUND), spline)) if affine else spline
