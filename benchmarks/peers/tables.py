"""The tables of the report, each from the records that it is about; empty where there are none."""

from collections.abc import Callable, Iterable

from flops import step_flops
from frameworks import FRAMEWORKS, OURS
from protocol import Case, case_of

__all__ = ["all_tables", "introduction"]

WIDE = 512  # units of a hidden layer from which products of matrices are most of a step
WORKS = {"step": "train step", "log_prob": "log_prob", "sample": "sample"}

INTRODUCTION = """\
`python benchmarks/peers/run.py` builds a virtual environment for each framework, runs the same work in each in turn in
one run, and writes this section; `--quick` does the cases that count, `--only FILTER` some, and `--report` writes it
again from the results. {machine} {dates}

{versions}

- Times are medians in ms; the first call, which compiles, is apart. In brackets: how many times ours. All use {threads}
  threads and float32. A train step is the gradient of the mean NLL of a fixed batch and an update of Adam; log_prob and
  sample are without a gradient, of as many rows.
- tfp_flows and plain TFP are compiled with XLA, FlowJAX with `filter_jit`; the PyTorch libraries run as they are used,
  eagerly. FlowJAX permutes at random between layers and has the direction whose log_prob is one pass.
- What normflows calls masked autoregressive samples in one pass and scores in D, the opposite of the others: it is
  measured on what it computes, and left out where D passes with a gradient take minutes. Its spline layers have
  residual networks, and a spline for the half that stays.
- Layers have networks of their own, of two hidden layers and relu, two outputs a dimension (splines of K bins 3 K - 1;
  FlowJAX 3 K + 1), reversed or swapped in between. The numbers of parameters are below."""


def introduction(records: list[dict]) -> str:
    """What was run, where, and how to read it."""
    found = [r for r in records if r["kind"] == "machine"]
    machine = found[-1] if found else {"processor": "unknown", "threads": "?", "memory": "?", "system": "unknown"}
    dates = sorted({r["date"] for r in records})
    versions = []
    for r in records:
        if r["kind"] == "versions":
            listed = ", ".join(f"{package} {version}" for package, version in r["versions"].items())
            versions.append(f"{FRAMEWORKS[r['framework']].label}: {listed}")
    return INTRODUCTION.format(
        machine=f"Machine: {machine['processor']}, {machine['threads']} cores, {machine['memory']} GB, "
        f"{machine['system']}, no GPU used.",
        dates=f"Measured {dates[0]}." if len(dates) == 1 else f"Measured {dates[0]} to {dates[-1]}.",
        versions="Versions: " + "; ".join(versions) + ".",
        threads=machine["threads"],
    )


def all_tables(records: list[dict]) -> list[str]:
    """Every table that there are records for, with its heading."""
    times = [r for r in records if r["kind"] == "time"]
    groups = {group: [r for r in times if r["group"] == group] for group in ("judged", "grid", "batch", "depth")}
    return [
        titled("The cases that count", time_table(groups["judged"])),
        titled("Through `fit`", fit_table(groups["judged"])),
        titled("Share of the machine's matrix products", share_table(times)),
        titled("First calls, seconds", first_table(groups["judged"])),
        titled("Numbers of parameters", parameter_table(times)),
        titled("Time to a held-out NLL on SIGGRAPH", race_table(records)),
        titled("Memory and start", memory_table(records), start_table(records)),
        titled("Against D", folded(time_table(groups["grid"]))),
        titled("Against batch and depth", folded(time_table([*groups["batch"], *groups["depth"]]))),
        titled("What failed", failures(records)),
    ]


def titled(title: str, *parts: str) -> str:
    """Parts under a heading, if there are any."""
    there = [part for part in parts if part]
    return "\n\n".join([f"### {title}", *there]) if there else ""


def table(header: Iterable[str], rows: list[list[str]]) -> str:
    """A table in Markdown; nothing without rows."""
    if not rows:
        return ""
    header = list(header)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def folded(text: str) -> str:
    """A long table that opens on a click."""
    return f"<details><summary>The table</summary>\n\n{text}\n\n</details>" if text else ""


def number(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def by_framework(records: Iterable[dict]) -> dict[tuple[str, str], dict[str, dict]]:
    """Records without an error, by case and work, and then by framework."""
    found: dict[tuple[str, str], dict[str, dict]] = {}
    for r in records:
        if "error" not in r:
            found.setdefault((r["case"], r.get("work", "")), {})[r["framework"]] = r
    return found


def each(name: str, of: dict[str, dict], cell: Callable[[dict], str], *more: str) -> list[str]:
    """A row: what it is about, and a cell for each framework."""
    return [name, *more, *(cell(of[framework]) if framework in of else "" for framework in FRAMEWORKS)]


def labels() -> list[str]:
    """The frameworks as columns."""
    return [framework.label for framework in FRAMEWORKS.values()]


def time_table(records: list[dict]) -> str:
    """Medians, and in brackets how many times ours."""
    rows = []
    for (case, work), of in by_framework(records).items():
        if work in WORKS and OURS in of:
            ours = of[OURS]["median"]

            def cell(r: dict, ours: float = ours) -> str:
                ms = number(1e3 * r["median"])
                return ms if r["framework"] == OURS else f"{ms} ({r['median'] / ours:.2f})"

            rows.append(each(case, of, cell, WORKS[work]))
    return table(["case", "work", *labels()], rows)


def fit_table(records: list[dict]) -> str:
    """A step through `tff.fit`, beside the bare one and beside Keras with plain TFP."""
    found, rows = by_framework(records), []
    for (case, work), of in found.items():
        bare = found.get((case, "step"), {})
        if work == "fit" and OURS in of and OURS in bare:
            ours, step = of[OURS]["median"], bare[OURS]["median"]
            row = [case, number(1e3 * step), f"{number(1e3 * ours)} ({ours / step:.2f} of the bare step)"]
            keras = of.get("tfp")
            row.append(f"{number(1e3 * keras['median'])} ({keras['median'] / ours:.2f})" if keras else "")
            rows.append(row)
    text = table(["case", "bare step, ms", "`tff.fit`, ms a step", "plain TFP's `Model.fit`, ms a step"], rows)
    note = (
        "Rows in memory, shuffled; no rows held out. `tff.fit` as it is, with XLA, clipping and the best weights kept; "
        "plain TFP as its documentation has it: `AutoregressiveNetwork`, a functional tf_keras model whose output is "
        "the log-density, and `Model.fit`, which does not use XLA. The time of an epoch, not the first, by its steps."
    )
    return f"{note}\n\n{text}" if text else ""


def share_table(times: list[dict]) -> str:
    """What a train step of MAF reaches of the rate of one large product of matrices."""
    products = [r for r in times if r["spec"]["flow"] == "matmul" and "error" not in r]
    if not products:
        return ""
    rates = {f"{FRAMEWORKS[r['framework']].label}, {r['work']}": rate(r) for r in products}
    peak, rows = max(rates.values()), []
    for (case, work), of in by_framework(r for r in times if r["group"] in ("judged", "grid")).items():
        spec = case_of(next(iter(of.values()))["spec"])
        if work == "step" and spec.flow == "maf" and max(spec.hidden) >= WIDE:
            one_pass = {name: r for name, r in of.items() if name != "normflows"}
            counts = [f"{count / 1e9:.2f}" for count in step_flops(spec)]
            rows.append(each(case, one_pass, share_cell(spec, peak), *counts))
    measured = ", ".join(f"{name} {value:.0f}" for name, value in rates.items())
    note = (
        f"GFLOP/s of a product of two float32 matrices of {products[0]['spec']['event_size']} rows: {measured}. Cells: "
        "the share of the fastest that a train step reaches, counting the products of all weights / of the weights "
        "that the masks leave. Whoever does not multiply what is masked can pass 100% of the first count."
    )
    return note + "\n\n" + table(["case", "GFLOP, all", "GFLOP, masked", *labels()], rows)


def rate(r: dict) -> float:
    """GFLOP/s of a product of two square matrices."""
    return 2e-9 * r["spec"]["event_size"] ** 3 / r["median"]


def share_cell(case: Case, peak: float) -> Callable[[dict], str]:
    """Makes of a record the shares of the peak."""
    counts = step_flops(case)
    return lambda r: " / ".join(f"{1e-9 * count / r['median'] / peak:.0%}" for count in counts)


def first_table(records: list[dict]) -> str:
    """Seconds of the first call, most of which is compilation where there is one."""
    found = by_framework(records).items()
    rows = [
        each(case, of, lambda r: number(r["first_call_seconds"]), WORKS[work])
        for (case, work), of in found
        if work in WORKS
    ]
    return table(["case", "work", *labels()], rows)


def parameter_table(times: list[dict]) -> str:
    """Numbers of parameters that are trained, by case: a batch or a work changes none."""
    cases: dict[str, dict[str, dict]] = {}
    for (case, work), of in by_framework(times).items():
        if work in WORKS and next(iter(of.values()))["group"] != "batch":
            cases.setdefault(case.rsplit(", ", 1)[0], {}).update(of)
    return table(["case", *labels()], [each(case, of, lambda r: f"{r['parameters']:,}") for case, of in cases.items()])


def race_table(records: list[dict]) -> str:
    """Seconds and steps to the target, or how far it went."""

    def cell(r: dict) -> str:
        end = "" if r["reached"] else f"; only {r['nll']:.2f}"
        return f"{r['seconds']:.0f} s, {r['steps']} steps{end}"

    found = by_framework(r for r in records if r["kind"] == "race").items()
    rows = [each(case, of, cell, f"{next(iter(of.values()))['target']:.2f}") for (case, _), of in found]
    text = table(["case", "NLL to reach", *labels()], rows)
    note = (
        "The same 50,000 standardised rows in batches of 500, Adam at 1e-3 without a schedule, the NLL of the same "
        "5,000 rows looked at every 100 steps; from the building of the flow on, compilation and looks included. Ours "
        "through `tff.fit`, the others in a plain loop. One run each: weights start elsewhere in each framework."
    )
    return f"{note}\n\n{text}" if text else ""


def memory_table(records: list[dict]) -> str:
    """The most that a process holds in ten train steps, beside what its imports take."""
    found = by_framework(r for r in records if r["kind"] == "memory").items()
    rows = [
        each(case, of, lambda r: f"{r['peak'] / 1e6:.0f} ({r['after_import'] / 1e6:.0f})") for (case, _), of in found
    ]
    return table(["most memory in ten train steps (after the imports), MB", *labels()], rows)


def start_table(records: list[dict]) -> str:
    """Seconds to the imports and to a first result."""
    of = {r["framework"]: r for r in records if r["kind"] == "start"}
    if not of:
        return ""
    rows = [
        each("imports", of, lambda r: number(r["import_seconds"])),
        each("imports, flow and log_prob of a row", of, lambda r: number(r["first_seconds"])),
    ]
    return table(["seconds of a fresh process until it has its", *labels()], rows)


def failures(records: list[dict]) -> str:
    """What has no result, and why."""
    return "\n".join(
        f"- {FRAMEWORKS[r['framework']].label}, {r['case']}, {r.get('work', r['kind'])}: {r['error']}"
        for r in records
        if "error" in r
    )
