"""What is measured: the cases, and who takes part in each."""

from collections.abc import Iterator
from dataclasses import dataclass

from frameworks import FRAMEWORKS, OURS
from protocol import Case

__all__ = ["MEMORY", "QUICK", "RACES", "START", "Job", "jobs"]

SIZES = (2, 8, 64, 256, 784)
WORKS = ("step", "log_prob", "sample")
QUICK = ("judged", "machine")  # the groups of a quick run
D_PASSES = 64  # from more dimensions on, what takes D passes with a gradient is left out

JUDGED = (
    Case("maf", 64, 5, (512, 512), 256),
    Case("maf", 784, 5, (1024, 1024), 256),
    Case("maf", 2, 8, (64, 64), 1500),
    Case("maf", 2, 8, (512, 512), 1500),
    Case("nsf", 64, 5, (256, 256), 256),
)
GRID = tuple(
    Case(flow, size, 5, hidden, 256)
    for flow in ("maf", "real_nvp", "spline")
    for hidden in ((64, 64), (512, 512))
    for size in SIZES
)
BATCHES = tuple(Case("maf", 64, 5, (512, 512), batch) for batch in (16, 64, 1024, 4096))
DEPTHS = tuple(Case("maf", 64, layers, (512, 512), 256) for layers in (1, 2, 10))
MEMORY = (JUDGED[0], JUDGED[1])
START = Case("maf", 2, 5, (64, 64), 1)
RACES = ((Case("maf", 2, 5, (64, 64), 500), 0.90), (Case("spline", 2, 4, (64, 64), 500, bins=32), 0.25))


@dataclass(frozen=True)
class Job:
    """A case and the entrants that take turns: `(framework, work)`."""

    group: str
    case: Case
    entrants: tuple[tuple[str, str], ...]
    seconds: float  # of each entrant's measured time

    @property
    def name(self) -> str:
        """What `--only` is looked for in."""
        works = ", ".join(dict.fromkeys(work for _, work in self.entrants))
        return f"{self.group}: {self.case.name}: {works}"


def jobs() -> Iterator[Job]:
    """All that takes turns, the judged cases first."""
    products = [(OURS, "matmul"), (OURS, "numpy matmul"), ("flowjax", "matmul"), ("zuko", "matmul")]
    yield Job("machine", Case("matmul", 2048), tuple(products), 3.0)
    for case in JUDGED:
        for work in WORKS:
            fits = [(OURS, "fit"), ("tfp", "fit")] if work == "step" else []
            yield Job("judged", case, (*entrants(case, work), *fits), 3.0)
    for group, cases in (("grid", GRID), ("batch", BATCHES), ("depth", DEPTHS)):
        for case in cases:
            if case not in JUDGED:
                for work in WORKS:
                    yield Job(group, case, entrants(case, work), 1.0)


def entrants(case: Case, work: str) -> tuple[tuple[str, str], ...]:
    """The frameworks that do the work in a time that one waits for."""
    left_out = case.flow == "nsf" or _takes_d_passes(case, work)  # its autoregressive splines have other networks
    return tuple((name, work) for name in FRAMEWORKS if not (name == "normflows" and left_out))


def _takes_d_passes(case: Case, work: str) -> bool:
    """Whether normflows' autoregressive layer would, where others take one: it samples in one and scores in D."""
    return case.flow == "maf" and case.event_size > D_PASSES and work != "sample"
