"""The columns of a training history as a CSV file."""

import csv
from collections.abc import Sequence
from pathlib import Path

from tfp_flows.atomic import atomic_path

__all__ = ["read_history", "write_history"]


def write_history(path: Path, history: dict[str, Sequence[float]]) -> None:
    """Writes the columns of a training history as CSV, a line an epoch."""
    columns = sorted(history)
    with atomic_path(path, force=True) as scratch, open(scratch, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *columns])
        writer.writerows([i + 1, *row] for i, row in enumerate(zip(*(history[c] for c in columns), strict=True)))


def read_history(path: Path) -> dict[str, list[float]]:
    """What `write_history` wrote."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {key: [float(row[key]) for row in rows] for key in (rows[0] if rows else {}) if key != "epoch"}
