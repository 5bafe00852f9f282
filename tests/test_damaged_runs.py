"""A sample of the campaign in benchmarks/damaged_runs.py, which runs thousands."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import damaged_runs


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_damaged_and_edited_folders_are_loaded_right_or_refused():
    counts = damaged_runs.campaign(first=10_000, number=300)
    assert counts["loaded"] > 0
    assert counts["refused"] > 0
    assert counts["loaded"] + counts["refused"] == 300, counts
