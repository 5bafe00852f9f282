"""The point cloud of the tutorial: the word SIGGRAPH as 98 triangles."""

import numpy as np

from tfp_flows.datasets.blender import blender_folder, load_points
from tfp_flows.datasets.dataset import Dataset
from tfp_flows.errors import InputError

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
    return Siggraph(weights)


class Siggraph(Dataset):
    """See `siggraph`."""

    train_size = 9800

    def __init__(self, weights: str) -> None:
        cloud = load_points(blender_folder() / "siggraph.npz")
        self.triangles = cloud.triangles
        self.points = cloud.points
        first, second, third = self.triangles.transpose(1, 0, 2)
        signed = _cross(second - first, third - first) / 2
        areas = np.abs(signed)
        if weights == "tutorial":
            self._mass = np.full(len(areas), 1 / len(areas))
        elif weights == "area":
            self._mass = areas / areas.sum()
        else:
            raise InputError(f"weights is {weights!r}; expected 'tutorial' or 'area'.")
        self._log_density = np.log(self._mass / areas)
        self._normals, self._offsets = _inward(self.triangles, np.sign(signed))
        corners = self.triangles.reshape(-1, 2)
        # A sample is rounded to float32, and may cross an edge by less than this.
        self._tolerance = float(np.spacing(np.float32(np.abs(corners).max())))
        (left, low), (right, high) = (
            (corners.min(axis=0) - 0.1).tolist(),
            (corners.max(axis=0) + 0.1).tolist(),
        )
        super().__init__("siggraph", {"weights": weights}, ((left, right), (low, high)))

    @property
    def entropy(self) -> float:
        """`-E[log p(x)]` in nats."""
        return float(-self._mass @ self._log_density)

    def _sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        face = rng.choice(len(self._mass), size=n, p=self._mass)
        u = rng.random((2, n))
        u = np.where(u.sum(axis=0) > 1, 1 - u, u)  # fold the square's other half onto the triangle
        first, second, third = self.triangles[face].transpose(1, 0, 2)
        return first + u[0, :, None] * (second - first) + u[1, :, None] * (third - first)

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        edges = (x @ self._normals - self._offsets).reshape(len(x), 3, -1)
        depth = np.minimum(np.minimum(edges[:, 0], edges[:, 1]), edges[:, 2])
        face = depth.argmax(axis=1)
        inside = depth[np.arange(len(x)), face] >= -self._tolerance
        return np.where(inside, self._log_density[face], -np.inf)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _inward(triangles: np.ndarray, orientation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give unit normals `[2, 3 T]` and offsets `[3 T]`: x @ normal - offset is x's depth behind an edge."""
    start = triangles.transpose(1, 0, 2)
    along = np.roll(start, -1, axis=0) - start
    normal = np.stack([-along[..., 1], along[..., 0]], axis=-1) * orientation[:, None]
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    return normal.reshape(-1, 2).T, np.sum(normal * start, axis=-1).ravel()
