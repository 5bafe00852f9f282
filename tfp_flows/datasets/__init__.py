"""Datasets with an exact density and entropy, and the reading of a user's own rows. NumPy only."""

import inspect
from typing import Any

from tfp_flows.datasets.banana import banana
from tfp_flows.datasets.columns import Finding, check_trainable, column_warnings, judge_columns
from tfp_flows.datasets.dataset import Dataset, Split
from tfp_flows.datasets.files import read_rows, read_table, write_rows
from tfp_flows.datasets.gaussian import gaussian
from tfp_flows.datasets.mesh import is_mesh_file, mesh
from tfp_flows.datasets.proposal import Proposal, propose
from tfp_flows.datasets.siggraph import siggraph
from tfp_flows.datasets.table import Table, as_rows, as_table, matched
from tfp_flows.datasets.two_moons import two_moons
from tfp_flows.errors import InputError

__all__ = [
    "Dataset",
    "Finding",
    "Proposal",
    "Split",
    "Table",
    "as_rows",
    "as_table",
    "banana",
    "check_trainable",
    "column_warnings",
    "gaussian",
    "is_mesh_file",
    "judge_columns",
    "make",
    "matched",
    "mesh",
    "names",
    "propose",
    "read_rows",
    "read_table",
    "siggraph",
    "two_moons",
    "write_rows",
]

_NAMED = {maker.__name__: maker for maker in (siggraph, two_moons, gaussian, banana)}
_MAKERS = _NAMED | {"mesh": mesh}


def names() -> list[str]:
    """List the datasets that `make` builds from their name alone; `mesh` needs a file as well.

    >>> from tfp_flows import datasets
    >>> datasets.names()
    ['siggraph', 'two_moons', 'gaussian', 'banana']
    """
    return list(_NAMED)


def make(name: str, **options: Any) -> Dataset:
    """Build a dataset by its name: `make("banana", scale=2.0)` is `banana(scale=2.0)`.

    Args:
      name: one of `names()`, or "mesh".
      **options: those of the function of that name.

    Raises:
      InputError: if there is no such dataset, or it has no such option.

    >>> from tfp_flows import datasets
    >>> datasets.make("two_moons", noise=0.1).config
    {'noise': 0.1}
    """
    if name not in _MAKERS:
        raise InputError(f"There is no dataset {name!r}; expected one of: {', '.join(_MAKERS)}.")
    known = inspect.signature(_MAKERS[name]).parameters
    unknown = [option for option in options if option not in known]
    if unknown:
        raise InputError(f"{name} has no option {unknown[0]!r}; it takes: {', '.join(known) or 'none'}.")
    return _MAKERS[name](**options)
