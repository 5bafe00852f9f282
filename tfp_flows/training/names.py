"""The names of columns that a flow learns with what it is fitted to."""

import contextlib
from collections.abc import Iterator, Sequence

from tfp_flows.errors import DivergenceError, TrainingInterrupted
from tfp_flows.flow import Flow

__all__ = ["Names", "naming"]

Names = Sequence[str] | None


@contextlib.contextmanager
def naming(flow: Flow, columns: Names, context_columns: Names) -> Iterator[None]:
    """Names that a flow has from now on, unless the training inside leaves it as it was before."""
    before = flow.columns, flow.context_columns
    flow.columns, flow.context_columns = columns, context_columns
    try:
        yield
    except (DivergenceError, TrainingInterrupted) as error:
        if error.history is None or error.history.best_epoch is None:
            flow.columns, flow.context_columns = before
        raise
