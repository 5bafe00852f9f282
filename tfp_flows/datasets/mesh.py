"""The law of a flat mesh: triangles, each with its share of the mass, uniform inside."""

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tfp_flows.checks import check_path
from tfp_flows.datasets.blender import PointCloud, load_points
from tfp_flows.datasets.dataset import Dataset, Limits
from tfp_flows.errors import InputError

__all__ = ["Mesh", "is_mesh_file", "mesh"]

MARGIN = 0.14  # of the frame around the mesh, as a share of its shorter side
OVERLAP = 1e-5  # how deep two triangles may lie in each other, as a share of the mesh's extent: rounding


def mesh(file: str | os.PathLike[str], weights: str | None = None) -> "Mesh":
    """Read the mesh of a file of `tfp-flows points`, as a law with exact density and entropy.

    The law, for triangles T_i of areas A_i, i = 1..n, that do not overlap:

        "triangles": p(x) = 1 / (n A_i) for x in T_i;  entropy = mean of log(n A_i)
        "area":      p(x) = 1 / A,  A = sum of A_i;    entropy = log A

    and p(x) = 0 elsewhere.

    Args:
      file: an NPZ file that `make_points` or `tfp-flows points` wrote.
      weights: "triangles", every triangle alike; "area", uniform over the letters; or None, as the file's points are.

    Returns:
      A `Dataset` that also has `triangles`, float64 `[n, 3, 2]`, and `points`, float32 `[m, 2]`: those of the file.

    Raises:
      InputError: if the file is none of these, `weights` is neither, or triangles overlap.

    >>> from tfp_flows.datasets import mesh
    >>> from tfp_flows.datasets.blender import blender_folder
    >>> mesh(blender_folder() / "siggraph.npz", weights="area").entropy
    0.115...
    """
    check_path(file=file)
    cloud = load_points(file)
    if weights is None:
        weights = "triangles" if cloud.recipe.get("points_by_area") is None else "area"
    if weights not in ("triangles", "area"):
        raise InputError(f"weights is {weights!r}; expected 'triangles' or 'area'.")
    _check_apart(cloud.triangles, file)
    return Mesh("mesh", {"file": os.fspath(file), "weights": weights}, cloud, by_area=weights == "area")


def is_mesh_file(file: str | os.PathLike[str]) -> bool:
    """Whether a file has the arrays of a mesh; not whether they are sound, which `mesh` says."""
    if Path(file).suffix.lower() != ".npz":
        return False
    try:
        with zipfile.ZipFile(file) as archive:
            return {"triangles.npy", "recipe.npy"} <= set(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


class Mesh(Dataset):
    """Triangles that do not overlap, alike in mass or by area: see `mesh`, and `siggraph`.

    Args:
      name: of the dataset.
      config: its options.
      cloud: the triangles, and the points that are kept with them.
      by_area: whether the law is uniform over the whole mesh, or gives every triangle the same mass.
    """

    has_edges = True

    def __init__(self, name: str, config: dict[str, Any], cloud: PointCloud, *, by_area: bool) -> None:
        self.triangles, self.points = cloud.triangles, cloud.points
        first, second, third = self.triangles.transpose(1, 0, 2)
        signed = _cross(second - first, third - first) / 2
        areas = np.abs(signed)
        self._mass = areas / areas.sum() if by_area else np.full(len(areas), 1 / len(areas))
        self._log_density = np.log(self._mass / areas)
        self._normals, self._offsets = _inward(self.triangles, np.sign(signed))
        # A sample is rounded to float32, and may cross an edge by less than this.
        self._tolerance = float(np.spacing(np.float32(np.abs(self.triangles).max())))
        super().__init__(name, config, _frame(self.triangles))

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


def _frame(triangles: np.ndarray) -> Limits:
    low, high = triangles.min(axis=(0, 1)), triangles.max(axis=(0, 1))
    margin = MARGIN * (high - low).min()
    return tuple(zip((low - margin).tolist(), (high + margin).tolist(), strict=True))


def _inward(triangles: np.ndarray, orientation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give unit normals `[2, 3 T]` and offsets `[3 T]`: x @ normal - offset is x's depth behind an edge."""
    start = triangles.transpose(1, 0, 2)
    along = np.roll(start, -1, axis=0) - start
    normal = np.stack([-along[..., 1], along[..., 0]], axis=-1) * orientation[:, None]
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    return normal.reshape(-1, 2).T, np.sum(normal * start, axis=-1).ravel()


def _check_apart(triangles: np.ndarray, file: str | os.PathLike[str]) -> None:
    """Raises `InputError` where two triangles overlap: the density would be a sum there, and the entropy unknown.

    Two triangles lie apart if an edge of one has all corners of the other outside of it.
    """
    first, second, third = triangles.transpose(1, 0, 2)
    normals, offsets = _inward(triangles, np.sign(_cross(second - first, third - first)))
    allowed = OVERLAP * np.ptp(triangles, axis=(0, 1)).max()
    apart = np.empty((len(triangles), len(triangles)), bool)
    for row, other in enumerate(triangles):
        deepest = (other @ normals - offsets).max(axis=0)  # of its corners, behind each edge of all triangles
        apart[row] = (deepest.reshape(3, -1) <= allowed).any(axis=0)
    overlap = ~(apart | apart.T)
    np.fill_diagonal(overlap, False)
    if overlap.any():
        i, j = np.argwhere(overlap)[0]
        raise InputError(
            f"file {os.fspath(file)!r}: its triangles {i} and {j} overlap, so their density has no simple formula; "
            "a font whose letters keep apart, a larger decimate, or the points alone, saved as NPY, would work."
        )
