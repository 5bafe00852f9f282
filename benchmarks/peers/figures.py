"""The figures of the report."""

from collections.abc import Callable, Iterable
from pathlib import Path

from frameworks import FRAMEWORKS, HERE, OURS
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator

__all__ = ["draw"]

WORKS = {"step": "train step", "log_prob": "log_prob", "sample": "sample"}
WIDE = [512, 512]  # the network of the curves
NUMBERS = FuncFormatter(lambda value, _: f"{value:,g}")


def draw(records: list[dict]) -> list[Path]:
    """Draws what there are results for; the files, in the order in which they are shown."""
    times = [r for r in records if r["kind"] == "time" and "median" in r and "error" not in r and r["work"] in WORKS]
    drawn = [ratios([r for r in times if r["group"] == "judged"]), autoregressive(times), couplings(times)]
    return [path for path in drawn if path]


def ratios(times: list[dict]) -> Path | None:
    """How many times ours the others take, a line for each case and work."""
    ours = {(r["case"], r["work"]): r["median"] for r in times if r["framework"] == OURS}
    if not ours:
        return None
    figure = Figure(figsize=(9, 1.2 + 0.32 * len(ours)), layout="constrained")
    axes = figure.add_subplot()
    for y, (case, work) in enumerate(ours):
        axes.axhline(y, color="0.9", linewidth=0.8, zorder=0)
        for r in times:
            if (r["case"], r["work"]) == (case, work):
                framework = FRAMEWORKS[r["framework"]]
                axes.plot(r["median"] / ours[case, work], y, framework.marker, color=framework.colour)
    axes.set_yticks(range(len(ours)), [f"{case}: {WORKS[work]}" for case, work in ours], fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(NUMBERS)
    axes.set_xlabel("time, as a multiple of ours: right of 1 is slower")
    return _save(figure, "ratios", times)


def autoregressive(times: list[dict]) -> Path | None:
    """The cost of MAF against D, the batch and the depth."""
    maf = [r for r in times if r["spec"]["flow"] == "maf" and r["spec"]["hidden"] == WIDE]
    curves = {
        "D": _those(maf, layers=5, batch=256),
        "batch": _those(maf, event_size=64, layers=5),
        "layers": _those(maf, event_size=64, batch=256),
    }
    keys = {"D": "event_size", "batch": "batch", "layers": "layers"}
    return _panels("maf", {f"MAF, {name}": (keys[name], curve) for name, curve in curves.items()})


def couplings(times: list[dict]) -> Path | None:
    """The cost of couplings against D."""
    kinds = {"real_nvp": "RealNVP", "spline": "spline coupling"}
    wide = _those([r for r in times if r["spec"]["hidden"] == WIDE], layers=5, batch=256)
    curves = {f"{label}, D": ("event_size", _those(wide, flow=flow)) for flow, label in kinds.items()}
    return _panels("couplings", curves)


def _those(times: list[dict], **spec: object) -> list[dict]:
    return [r for r in times if all(r["spec"][key] == value for key, value in spec.items())]


def _panels(name: str, curves: dict[str, tuple[str, list[dict]]]) -> Path | None:
    """A row of three panels for each curve that has a line to draw; nothing if none has."""
    curves = {title: (key, curve) for title, (key, curve) in curves.items() if len({r["spec"][key] for r in curve}) > 1}
    if not curves:
        return None
    figure = Figure(figsize=(10, 0.6 + 2.6 * len(curves)), layout="constrained")
    grid = figure.subplots(len(curves), len(WORKS), squeeze=False)
    for row, (title, (key, curve)) in zip(grid, curves.items(), strict=True):
        for axes, (work, label) in zip(row, WORKS.items(), strict=True):
            _lines(axes, [r for r in curve if r["work"] == work], lambda r, key=key: r["spec"][key])
            axes.set_title(label, fontsize=9)
            axes.set_xlabel(title, fontsize=9)
        row[0].set_ylabel("ms", fontsize=9)
    return _save(figure, name, [r for _, curve in curves.values() for r in curve])


def _lines(axes: Axes, times: list[dict], x: Callable[[dict], int]) -> None:
    for name, framework in FRAMEWORKS.items():
        points = sorted((x(r), 1e3 * r["median"]) for r in times if r["framework"] == name)
        axes.plot(*zip(*points, strict=True) if points else ([], []), f"{framework.marker}-", color=framework.colour)
    axes.set_xscale("log")
    axes.set_yscale("log")
    ticks = sorted({x(r) for r in times})
    axes.set_xticks(ticks, [str(tick) for tick in ticks], fontsize=8)
    axes.minorticks_off()
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axes.yaxis.set_major_formatter(NUMBERS)
    axes.grid(color="0.9")


def _save(figure: Figure, name: str, times: Iterable[dict]) -> Path:
    shown = {r["framework"] for r in times}
    handles = [
        Line2D([], [], color=f.colour, marker=f.marker, linestyle="", label=f.label)
        for key, f in FRAMEWORKS.items()
        if key in shown
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)
    path = HERE / f"{name}.png"
    figure.savefig(path, dpi=120)
    return path
