"""The point cloud of the tutorial: the word SIGGRAPH as 98 triangles."""

from tfp_flows.datasets.blender import blender_folder, load_points
from tfp_flows.datasets.mesh import Mesh
from tfp_flows.errors import InputError
from tfp_flows.words import in_short

__all__ = ["siggraph"]


def siggraph(weights: str = "tutorial") -> "Siggraph":
    """Build the SIGGRAPH cloud with the exact density of its triangles.

    The law, for triangles T_i of areas A_i, i = 1..98, that do not overlap:

        "tutorial": p(x) = 1 / (98 A_i) for x in T_i;  entropy = mean of log(98 A_i)
        "area":     p(x) = 1 / A,  A = sum of A_i;     entropy = log A

    and p(x) = 0 elsewhere. The mesh is Blender's, of its built-in font. The tutorial's cloud is 100 points in
    each triangle, so its density is not uniform by area.

    Args:
      weights: "tutorial", every triangle alike; or "area", uniform over the letters.

    Returns:
      A `Dataset` that also has `triangles`, float64 `[98, 3, 2]`, and `points`, float32 `[9800, 2]`: the
      shipped cloud, 100 points of each triangle in order.

    Raises:
      InputError: if `weights` is neither.

    Reference: Eric Jang, "Normalizing Flows Tutorial, Part 2: Modern Normalizing Flows", 2018.

    >>> from tfp_flows import datasets
    >>> datasets.siggraph()
    siggraph(weights='tutorial')  # rows of 2, entropy -0.0947 nats, x in -0.0649..4.72, y in -0.117..0.797
    """
    if weights not in ("tutorial", "area"):
        raise InputError(f"weights is {in_short(weights)}; expected 'tutorial' or 'area'.")
    return Siggraph(weights)


class Siggraph(Mesh):
    """See `siggraph`."""

    train_size = 9800

    def __init__(self, weights: str) -> None:
        cloud = load_points(blender_folder() / "siggraph.npz")
        super().__init__("siggraph", {"weights": weights}, cloud, by_area=weights == "area")
