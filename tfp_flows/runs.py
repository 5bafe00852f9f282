"""Runs: a flow trained into a folder of its own, with all that is needed to go on, to repeat it, to look at it.

TensorFlow is imported when there is something to compute, so that a folder that cannot be used is refused at once.
"""

import contextlib
import inspect
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tfp_flows.checks import check_flags, check_number, check_sizes, check_text, check_training, given, plain_options
from tfp_flows.column_options import chain_options, column_settings
from tfp_flows.errors import DivergenceError, InputError, TrainingInterrupted
from tfp_flows.json_files import as_json, read_json, write_json
from tfp_flows.run_folder import RunFolder, read_history, write_history
from tfp_flows.run_source import RunRows, Source, source_settings
from tfp_flows.words import in_short, plural

if TYPE_CHECKING:
    import numpy as np

    from tfp_flows.datasets import Dataset, Table
    from tfp_flows.flow import Flow
    from tfp_flows.laws import LawReport

__all__ = ["Run", "Scores", "check_folder"]

FORMAT = 1
# Rounds and learning rate where none are asked for, measured on two cores: see benchmarks/README.md.
ROUNDS = {"nsf_coupling": (43, 5e-3), "maf": (200, 1e-2)}
OTHER_ROUNDS = (120, 1e-2)
# Options of a flow for a density with edges, as letters have: see benchmarks/flows_and_data.py.
EDGES = {
    "nsf_coupling": {
        "octaves": 8,
        "num_bins": 64,
        "logit_bound": 4.0,
        "affine": False,
        "mixing": "reverse",
        "tails": "identity",
    }
}
FILE_PATIENCE = 20  # rows that are drawn afresh cannot be overfitted, and a pause before the rate has decayed is no end
TEST_ROWS = 10_000
SHOWN_ROWS = 9_800
MOST_SHOWN = 8  # columns of a run's corner, which has a legend to say that there are more
OF_THE_RUN = ("event_size", "context_size", "seed")  # which it gives to a chain itself
NEEDED = ("flow", "options", "data", "epochs", "learning_rate", "seed")  # of settings that somebody may have edited
NUMBERS = ("epochs", "batch_size", "learning_rate", "steps_per_epoch", "seed")  # of settings, for `fit` and `distill`


class Scores(NamedTuple):
    """Log-probabilities of rows `[N]`, nats, and what they come to."""

    log_prob: "np.ndarray"
    metrics: dict[str, Any]


class Run:
    """A run: the folder that `tfp-flows train` makes, opens, resumes and draws; and so does Python.

    `Run.train` and `run.distill` make one, `Run.open` opens one. While it is trained, a lock keeps other processes out
    of its folder, and a checkpoint is written every minute; what is there before is only replaced, and as a whole, when
    there is something trained to put in its place.

    Attributes:
      folder: its path. There are `config.json`, all that is needed to repeat the run; the flow, as `tff.load(folder)`
        reads it; `history.csv`, `metrics.json` and `figures/`; and `training/` as long as the training has not ended.

    Example:

    >>> import tempfile, tfp_flows as tff
    >>> folder = tempfile.mkdtemp()
    >>> options = {"num_layers": 1}
    >>> run = tff.Run.train(folder, flow="mlp", options=options, data="gaussian", epochs=1, verbose=False)
    >>> sorted(run.metrics)
    ['entropy', 'epochs', 'gap', 'nll', 'rows', 'seconds', 'standard_error', 'weight_decay']
    >>> tff.Run.open(folder).flow.sample(3, seed=0).shape
    TensorShape([3, 2])
    """

    def __init__(self, folder: RunFolder, flow: "Flow | None" = None) -> None:
        self._folder = folder
        self._trained = None if flow is None else (flow, folder.stamp)  # figures are drawn of it, which is compiled

    @classmethod
    def train(
        cls,
        folder: str | os.PathLike | None = None,
        *,
        flow: str = "nsf_coupling",
        options: dict[str, Any] | None = None,
        data: "str | os.PathLike | Dataset" = "siggraph",
        columns: list[str | int] | None = None,
        context_columns: list[str | int] | None = None,
        key: str | None = None,
        support: Mapping[str | int, tuple[float | None, float | None]] | None = None,
        circular: Mapping[str | int, float | tuple[float, float]] | None = None,
        dequantize: list[str | int] | None = None,
        auto: bool = False,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        patience: int | None = None,
        steps_per_epoch: int | None = None,
        device: str | None = None,
        seed: int = 0,
        checkpoint_every: float = 60.0,
        force: bool = False,
        verbose: bool | int = True,
    ) -> "Run":
        """Trains a flow into a folder; figures are drawn by `draw`.

        Args:
          folder: the folder to make; None for the first free one below `runs/`.
          flow: name of a chain, as `tff.flows.names()` lists them.
          options: of the chain, as in `{"num_layers": 4}`; `nsf_coupling` on letters, which have edges, sees 8
            octaves and has 64 bins, but neither a learnt matrix nor learnt tails.
          data: name of a dataset, a dataset, or a file or folder of rows; every tenth row of it is held out for the
            metrics.
          columns: which columns of a file; all by default, but for those of the context.
          context_columns: the columns of a file that the flow is conditional on.
          key: which array of an NPZ file.
          support: of columns, by name or by number from 1 among those that are modelled: `{"price": (0, None)}`; as
            for the chains.
          circular: the columns that come round again, likewise: `{"hour": 24}`, `{"angle": (-180, 180)}`.
          dequantize: the columns of whole numbers, likewise.
          auto: whether to propose support and whole numbers from the training rows of a file, for columns that none of
            these name, and to say so on stderr; see `tff.datasets.propose`.
          epochs: rounds at most; None for 43 of `nsf_coupling`, 200 of `maf`, 120 of the others.
          batch_size: rows of a step; None for what `tff.fit` chooses.
          learning_rate: of Adam, at its highest; None for 0.005 of `nsf_coupling`, else 0.01.
          weight_decay: of the networks' kernels; None for what `tff.fit` chooses by the number of rows.
          patience: epochs without improvement before training stops; None for 20 with a file, else no end.
          steps_per_epoch: steps of an epoch.
          device: "CPU:0", "GPU:0", ...; None for what TensorFlow picks.
          seed: fixes every random choice.
          checkpoint_every: seconds between two checkpoints.
          force: whether the folder may have something in it; a run there is replaced when the new one has an epoch.
          verbose: True or 1 for a progress bar, 2 for a line an epoch, as in Keras, False or 0 for neither.

        Raises:
          InputError: for a folder, data or options that cannot work; before anything is trained, and nothing is left.
          DivergenceError: as `tff.fit`; the weights of the best epoch are in the folder then, if there is one.
          TrainingInterrupted: at Ctrl-C and SIGTERM; `resume` goes on. At Ctrl-C the best weights so far are in the
            folder, if an epoch has ended.
        """
        source = source_settings(data, columns, key, context_columns)
        check_text(flow=flow, **given(device=device))
        rounds, rate = ROUNDS.get(flow, OTHER_ROUNDS)
        settings = {
            **{"flow": flow, "options": _options(options), **source, "epochs": rounds if epochs is None else epochs},
            **{"batch_size": batch_size, "learning_rate": rate if learning_rate is None else learning_rate},
            **{"weight_decay": weight_decay, "patience": patience, "steps_per_epoch": steps_per_epoch},
            **{"device": device, "seed": seed},
            **column_settings(support, circular, dequantize, auto),
        }
        name = f"{flow}-{Path(settings['data']).stem}"
        return cls._begin(folder, name, "train", settings, force, verbose, checkpoint_every)

    def distill(
        self,
        folder: str | os.PathLike | None = None,
        *,
        flow: str = "iaf",
        options: dict[str, Any] | None = None,
        epochs: int = 50,
        batch_size: int = 500,
        learning_rate: float = 5e-3,
        steps_per_epoch: int = 100,
        forward: float = 0.0,
        seed: int = 0,
        checkpoint_every: float = 60.0,
        force: bool = False,
        verbose: bool | int = True,
    ) -> "Run":
        """Fits a student to this run's flow, by `tff.distill`, into a folder of its own; options as for `train`.

        A student of the same chain as its teacher has its options, where none are given.
        """
        self.flow  # noqa: B018 - a run without a flow is refused before a folder is made
        check_text(flow=flow)
        teachers = self.config.get("settings", {})
        options = (teachers.get("options", {}) if teachers.get("flow") == flow else {}) | _options(options)
        if isinstance(folder, (str, os.PathLike)) and Path(folder).resolve() == self.folder.resolve():
            raise InputError(f"folder must not be that of the teacher; got {folder}.")
        settings = {
            **{"teacher": str(self.folder.resolve()), "flow": flow, "options": options, "epochs": epochs},
            **{"batch_size": batch_size, "learning_rate": learning_rate, "steps_per_epoch": steps_per_epoch},
            **({"forward": check_number("forward", forward, 0, 1)} if forward else {}),
            "seed": seed,
        }
        name = f"{flow}-{self.folder.name}"
        return self._begin(folder, name, "distill", settings, force, verbose, checkpoint_every)

    @classmethod
    def open(cls, folder: str | os.PathLike) -> "Run":
        """The run in a folder, trained or not yet; `InputError` if there is none."""
        found = RunFolder(folder)
        if not found.is_locked:
            found.settle()
        if not found.has_results and not (found.training / "config.json").exists():
            raise InputError(f"{folder} holds no run: config.json is missing.")
        return cls(found)

    def resume(self, *, checkpoint_every: float = 60.0, verbose: bool | int = True) -> "Run":
        """Goes on with a training that was stopped, whatever stopped it; does nothing if it has ended.

        On one CPU the weights are those of a training that was never stopped, to the last bit. Raises what `train`
        does, and InputError if another process is training there.
        """
        flow = None
        with RunFolder.claimed(self.folder, anew=False) as folder:
            if (folder.training / "config.json").exists():
                config = read_json(folder.training / "config.json")
                if config.get("kind") not in _WORK or not isinstance(config.get("settings"), dict):
                    raise InputError(f"{folder.training / 'config.json'} does not say what to train.")
                flow = _carry_out(folder, config, verbose, checkpoint_every)
            elif folder.has_results and not (folder.path / "metrics.json").exists():
                _measure_again(folder)
        return Run(RunFolder(self.folder), flow)

    @classmethod
    def _begin(
        cls,
        out: str | os.PathLike | None,
        name: str,
        kind: str,
        settings: dict[str, Any],
        force: bool,
        verbose: bool | int,
        every: float,
    ) -> "Run":
        check_training(
            **{name: settings[name] for name in NUMBERS},
            **{name: settings.get(name) for name in ("weight_decay", "patience")},
            **{"verbose": verbose, "checkpoint_every": every},
        )
        check_flags(force=force)
        with RunFolder.claimed(out, name=name, force=force) as folder:
            try:
                config = {"format": FORMAT, "kind": kind, "settings": _whole(settings)}
                folder.training.mkdir()
                write_json(folder.training / "config.json", config)
                flow = _carry_out(folder, config, verbose, every)
            except OSError as error:
                raise InputError(f"folder cannot be written: {folder.path}: {error.strerror or error}.") from error
            finally:
                folder.end_training(keep=(folder.training / "checkpoint.npz").exists())
        return cls(RunFolder(folder.path), flow)

    @property
    def folder(self) -> Path:
        """The folder."""
        return self._folder.path

    @property
    def config(self) -> dict[str, Any]:
        """What `config.json` says: `kind`, `settings`, `data`, `format`; of the training, if it has not ended yet."""
        first = self.folder if self._folder.has_results else self._folder.training
        return read_json(first / "config.json")

    @property
    def settings(self) -> dict[str, Any]:
        """What `Run.train(**settings)` repeats the run with; `InputError` if the run does not know."""
        config = self.config
        if config.get("kind") != "train" or not isinstance(config.get("settings"), dict):
            raise InputError(f"{self.folder} does not know how it was trained: it is a student, or of version 0.1.")
        settings = dict(config["settings"])
        missing = [name for name in NEEDED if settings.get(name) is None]
        if missing:
            raise InputError(f"{self.folder}: config.json does not say {missing[0]}, which its settings must have.")
        with _only_what_works(self.folder, settings):
            if "data_options" in settings:
                from tfp_flows import datasets

                settings["data"] = datasets.make(settings["data"], **settings.pop("data_options"))
            known = inspect.signature(Run.train).parameters.keys() - {"folder", "checkpoint_every", "force", "verbose"}
            unknown = [name for name in settings if name not in known]
            if unknown:
                raise InputError(f"{self.folder}: config.json has settings that do not work: {unknown[0]} is none.")
        return settings

    @property
    def is_finished(self) -> bool:
        """Whether its training has ended."""
        return self._folder.has_results and not self._folder.training.exists()

    @property
    def flow(self) -> "Flow":
        """The trained flow, read anew."""
        from tfp_flows import load

        if not self._folder.has_results:
            raise InputError(f"{self.folder} holds no run that has weights yet: resume its training first.")
        return load(self.folder)

    @property
    def history(self) -> dict[str, list[float]]:
        """The losses of each epoch, by name; empty before there are any."""
        return read_history(self.folder / "history.csv")

    @property
    def metrics(self) -> dict[str, Any]:
        """What was measured on held-out rows: `nll` or `kl` in nats, ...; empty before anything was."""
        return read_json(self.folder / "metrics.json") if (self.folder / "metrics.json").exists() else {}

    def score(
        self,
        data: "str | os.PathLike | Dataset",
        *,
        columns: list[str | int] | None = None,
        context_columns: list[str | int] | None = None,
        key: str | None = None,
        seed: int = 0,
    ) -> Scores:
        """Log-probability of the rows of a file, or of 10,000 draws of a known law.

        The context of a conditional flow is found by its names, or is in `context_columns`.
        """
        from tfp_flows import datasets

        flow = self.flow
        source = Source(source_settings(data, columns, key, context_columns))
        if source.law and not source.is_file:
            rows = datasets.as_rows(source.law.sample(TEST_ROWS, seed), name=source.name, event_size=flow.event_size)
            return _scores(flow, RunRows(rows), source.law.entropy)
        drop_extra = flow.context_size > 0 or columns is not None  # then the table has more than x, or was chosen from
        rows = source.matched(flow, drop_extra=drop_extra)
        return _scores(flow, rows, source.law and source.law.entropy)

    def sample(self, n: int | None = None, *, context: str | os.PathLike | None = None, seed: int = 0) -> "Table":
        """Rows of the flow, with the names of its columns; with a file of contexts one for each, beside its context.

        There are 1000 without a context, if `n` says nothing else. They are float64, as the rows of a file are:
        `flow.sample` rounds to the flow's dtype.
        """
        import numpy as np

        from tfp_flows import datasets

        n = 1000 if n is None and context is None else n
        if n is not None:
            check_sizes(n=n)
        if n is not None and context is not None:
            raise InputError(f"n must be left out beside a context, which has a row for each draw; got {n}.")
        flow = self.flow
        if context is None and flow.context_size:
            names = f", {', '.join(flow.context_columns)}" if flow.context_columns else ""
            raise InputError(
                f"context must be a file of {plural(flow.context_size, 'column')}{names}, as the flow is conditional."
            )
        if context is None:
            names, rows = flow.columns and tuple(flow.columns), flow.sample_in_float64(n, seed=seed).numpy()
            return datasets.Table(rows, names, "samples", tuple(flow.dequantize))
        if not flow.context_size:
            raise InputError(f"context was given, but {self.folder} has a flow without: leave context out.")
        given = datasets.matched(
            datasets.read_table(context), flow.context_columns, event_size=flow.context_size, drop_extra=True
        )
        rows = np.concatenate([flow.sample_in_float64(seed=seed, context=given).numpy(), given], axis=1)
        named = flow.columns and flow.context_columns
        seen = [flow.event_size + i for i in np.flatnonzero(((given == np.floor(given)) & (abs(given) < 2**53)).all(0))]
        names = (*flow.columns, *flow.context_columns) if named else None
        return datasets.Table(rows, names, "samples", (*flow.dequantize, *seen))

    def check(
        self,
        data: "str | os.PathLike | Dataset | None" = None,
        *,
        columns: list[str | int] | None = None,
        context_columns: list[str | int] | None = None,
        key: str | None = None,
        seed: int = 0,
    ) -> "LawReport":
        """Tries the laws of `tff.check` on this run's flow, and its fit on rows.

        The rows are those that the run held out, a student's those of its teacher; or the rows of a file, or draws of a
        known law, as for `score`.
        """
        flow = self.flow
        if data is not None:
            return _checked(flow, source_settings(data, columns, key, context_columns), seed)
        for argument, value in (("columns", columns), ("context_columns", context_columns), ("key", key)):
            if value is not None:
                raise InputError(f"{argument} must go with data, whose columns they are; got {in_short(value)} alone.")
        rows, law = self._held_out()
        return _laws_of(flow, rows, law, seed)

    def _held_out(self) -> "tuple[RunRows | None, Dataset | None]":
        """The rows that the training never saw, and their law if it is known; None each if the run does not know."""
        config = self.config
        settings = config.get("settings")
        if config.get("kind") == "distill" and isinstance(settings, dict) and "teacher" in settings:
            return Run.open(settings["teacher"])._held_out()
        if config.get("kind") != "train":
            return None, None
        self.settings  # noqa: B018 - what somebody has edited is refused
        with _only_what_works(self.folder, settings):
            source = Source(settings)
            return source.split(settings["seed"], says=False)[1], source.law

    def context(self) -> "np.ndarray | None":
        """The context of the rows that a conditional flow was trained on, `[N, C]`; None for another."""
        flow = self.flow
        if not flow.context_size:
            return None
        return Source(self._source_of(self.config.get("data", {}))).matched(flow).context

    def draw(self, *, film: bool = False) -> list[str]:
        """Draws every figure that makes sense for the flow into `figures/`, and with `film` the film as well.

        Returns a sentence for each figure that failed; the others are there all the same.
        """
        from tfp_flows import datasets
        from tfp_flows.atomic import atomic_path

        facts = self.config.get("data", {})
        law = datasets.make(facts["name"], **facts["options"]) if "options" in facts else None
        is_trained_here = self._trained is not None and self._trained[1] == self._folder.stamp
        flow = self._trained[0] if is_trained_here else self.flow
        rows = RunRows(law.sample(SHOWN_ROWS, seed=1)) if law else Source(self._source_of(facts)).matched(flow)
        figures = self.folder / "figures"
        failed = []
        for name, save in _figures(flow, law, rows.first(SHOWN_ROWS), self.history, film).items():
            try:
                figures.mkdir(exist_ok=True)
                with atomic_path(figures / name, force=True) as scratch:
                    save(scratch)
            except Exception as error:  # whatever it is, the weights and the other figures are no worse for it
                failed.append(f"{figures / name} was not drawn: {error}")
        return failed

    def _source_of(self, facts: dict[str, Any]) -> dict[str, Any]:
        """Where the rows of a file came from; for a student, those of its teacher."""
        return (
            {"columns": None, "context_columns": None, "key": None}
            | {k: facts[k] for k in ("columns", "context_columns", "key") if k in facts}
            | {"data": facts.get("name", "")}
        )


def check_folder(
    folder: str | os.PathLike,
    data: "str | os.PathLike | Dataset | None" = None,
    *,
    columns: list[str | int] | None = None,
    context_columns: list[str | int] | None = None,
    key: str | None = None,
    seed: int = 0,
) -> "LawReport":
    """`Run.check` of the run in a folder; or of a flow that `flow.save` left there, which has no rows of its own."""
    path = Path(folder)
    if (path / "config.json").exists() or not (path / "flow.npz").exists():
        given = {"columns": columns, "context_columns": context_columns, "key": key}
        return Run.open(folder).check(data, **given, seed=seed)
    from tfp_flows import load

    flow = load(folder)
    if data is None:
        return _laws_of(flow, None, None, seed)
    return _checked(flow, source_settings(data, columns, key, context_columns), seed)


def _checked(flow: "Flow", settings: dict[str, Any], seed: int) -> "LawReport":
    """The laws of a flow, and its fit on the rows that settings name, as `score` reads them."""
    source = Source(settings)
    if source.law and not source.is_file:
        return _laws_of(flow, None, source.law, seed)
    drop_extra = flow.context_size > 0 or settings["columns"] is not None
    return _laws_of(flow, source.matched(flow, drop_extra=drop_extra), source.law, seed)


def _laws_of(flow: "Flow", rows: RunRows | None, law: "Dataset | None", seed: int) -> "LawReport":
    from tfp_flows import check

    if flow.context_size and rows is None:
        raise InputError("data must be a file with rows and their context, as the flow is conditional; got none.")
    if rows is None:
        return check(flow, dataset=law, seed=seed)
    return check(flow, rows.x, context=rows.context, dataset=law, seed=seed)


def _options(options: Any) -> dict[str, Any]:
    """The options of a chain, which config.json can hold."""
    if not isinstance(options, (Mapping, type(None))):
        raise InputError(f"options must be a dict, as in {{'num_layers': 4}}; got {in_short(options)}.")
    options = plain_options(options or {})
    for name, value in options.items():
        if name in OF_THE_RUN:
            raise InputError(
                f"options: the run gives {name} to its chain itself, so leave it out; got {in_short(value)}."
            )
        try:
            as_json(value)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"options: {name} must be numbers and texts, which config.json can hold; got {in_short(value)}: a flow "
                "with other parts is trained by tff.fit."
            ) from error
    return options


def _whole(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with all options of the chain, so that other data or a later version's defaults change none of them."""
    import tfp_flows as tff

    tff.make  # noqa: B018 - imports TensorFlow, in silence
    from tfp_flows.flows.registry import defaults

    law = Source(settings).law if "data" in settings else None
    edges = EDGES.get(settings["flow"], {}) if law and law.has_edges else {}
    return settings | {"options": {**defaults(settings["flow"]), **edges, **settings["options"]}}


class _Work(NamedTuple):
    """A training that only waits for its checkpoints: the flow, what to call, what to measure afterwards."""

    flow: "Flow"
    train: Callable[..., Any]
    measure: Callable[[], dict[str, Any]]
    data: dict[str, Any]


def _training(settings: dict[str, Any]) -> _Work:
    import tfp_flows as tff

    make = tff.make  # imports TensorFlow, in silence
    from tfp_flows.training.inside import check_inside

    source = Source(settings)
    rows, test = source.split(settings["seed"])
    context_size = 0 if test.context is None else test.context.shape[1]
    sizes = {"event_size": test.x.shape[1], "seed": settings["seed"]}
    sizes |= {"context_size": context_size} if context_size else {}
    known = rows or test
    bounds = chain_options(settings, tff.datasets.Table(known.x, known.columns, source.name), rows is None)
    flow = make(settings["flow"], **sizes, **bounds | settings["options"])
    for part in (test, rows or test):
        check_inside(flow, part.x, part.columns, source.name, part.numbers)
    patience = FILE_PATIENCE if settings["patience"] is None and source.law is None else settings["patience"]
    numbers = {name: settings[name] for name in (*NUMBERS, "weight_decay")}

    def train(**more: Any) -> Any:
        if source.law:
            return tff.fit(flow, source.law, patience=patience, **numbers, **more)
        flow.columns, flow.context_columns = rows.columns, rows.context_columns
        return tff.fit(flow, rows.x, context=rows.context, patience=patience, **numbers, **more)

    def measure() -> dict[str, Any]:
        return _scores(flow, test, source.law and source.law.entropy).metrics

    return _Work(flow, train, measure, source.facts())


def _distillation(settings: dict[str, Any]) -> _Work:
    import tfp_flows as tff

    teacher = Run.open(settings["teacher"])
    expert, seed = teacher.flow, settings["seed"]
    sizes = {"event_size": expert.event_size, "seed": seed}
    context = None
    if expert.context_size:
        sizes["context_size"], context = expert.context_size, teacher.context()
    known = expert.config or {}
    sizes |= {name: known[name] for name in ("support", "circular", "dequantize") if known.get(name)}
    student = tff.make(settings["flow"], **sizes, **settings["options"])
    student.columns, student.context_columns = expert.columns, expert.context_columns
    numbers = {name: settings[name] for name in NUMBERS} | {"forward": settings.get("forward", 0.0)}

    def divergence(of: "Flow", other: "Flow") -> tuple[float, float]:
        """KL(of, other) from samples, nats, and its standard error."""
        seen = None if context is None else context[:TEST_ROWS]
        x, log_prob = of.sample_and_log_prob(TEST_ROWS if seen is None else (), seed=seed + 1, context=seen)
        difference = log_prob.numpy() - tff.plots.log_prob_of(other, x.numpy(), context=seen)
        return float(difference.mean()), float(difference.std(ddof=1) / len(difference) ** 0.5)

    def measure() -> dict[str, Any]:
        rows = TEST_ROWS if context is None else min(TEST_ROWS, len(context))
        (kl, error), (back, error_back) = divergence(student, expert), divergence(expert, student)
        reverse = {"kl": kl, "standard_error": error}
        return {"rows": rows, **reverse, "kl_teacher_student": back, "standard_error_teacher_student": error_back}

    data = teacher.config.get("data", {}) | {"teacher": settings["teacher"]}
    return _Work(
        student, lambda **more: tff.distill(expert, student, context=context, **numbers, **more), measure, data
    )


_WORK = {"train": _training, "distill": _distillation}


def _carry_out(folder: RunFolder, config: dict[str, Any], verbose: bool | int, every: float) -> "Flow":
    """Trains what a config says, from where its checkpoint is; the results are in the folder then.

    Weights come first: whatever fails later, they are there. Returns the flow that they are of.
    """
    started = time.perf_counter()
    with _device(config["settings"].get("device")):
        work = _work(config, folder.path)
        end: BaseException | None = None
        try:
            history = work.train(checkpoint=folder.training, checkpoint_every=every, verbose=verbose)
        except (DivergenceError, TrainingInterrupted) as error:
            history, end = error.history, error
        is_interrupted = isinstance(end, TrainingInterrupted)
        # A cluster gives seconds, and what has not ended replaces no run that has: the checkpoint is enough.
        spares = is_interrupted and end.signal == signal.SIGTERM and folder.has_results
        if history.best_epoch is not None and not spares:

            def fill(staged: Path) -> None:
                work.flow.save(staged)
                known = read_json(staged / "config.json") if (staged / "config.json").exists() else {}
                write_json(staged / "config.json", known | config | {"data": work.data})
                write_history(staged / "history.csv", history.history)

            folder.commit(fill)
            if not (is_interrupted and end.signal == signal.SIGTERM):
                facts = {"epochs": len(history.epoch), "seconds": time.perf_counter() - started}
                if config["kind"] == "train":
                    facts["weight_decay"] = float(history.model.optimizer.weight_decay or 0.0)
                write_json(folder.path / "metrics.json", work.measure() | facts)
    if not is_interrupted:
        folder.drop_training()
    if end is not None:
        raise _told(end, history, folder.path, spares)
    return work.flow


def _work(config: dict[str, Any], folder: Path) -> _Work:
    """What a config says."""
    with _only_what_works(folder, config["settings"]):
        return _WORK[config["kind"]](_whole(config["settings"]))


@contextlib.contextmanager
def _only_what_works(folder: Path, settings: dict[str, Any]) -> Iterator[None]:
    """Raises `InputError` if somebody has put something into the settings of a config that cannot be carried out."""
    if not isinstance(options := settings.get("options", {}), dict):
        told = f"options is {in_short(options)}, no dictionary"
        raise InputError(f"{folder}: config.json has settings that do not work: {told}.")
    try:
        yield
    except InputError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise InputError(f"{folder}: config.json has settings that do not work: {str(error)[:100]}.") from error


def _measure_again(folder: RunFolder) -> None:
    """The metrics of a run that was killed between its weights and them."""
    from tfp_flows import load

    config = read_json(folder.path / "config.json")
    if config.get("kind") in _WORK and isinstance(config.get("settings"), dict):
        work = _work(config, folder.path)
        load(folder.path, into=work.flow)
        epochs = len(next(iter(read_history(folder.path / "history.csv").values()), ()))
        write_json(folder.path / "metrics.json", work.measure() | {"epochs": epochs})


def _told(end: BaseException, history: Any, folder: Path, spares: bool) -> BaseException:
    """The exception that ended a training, saying what the folder has of it."""
    has_weights = history.best_epoch is not None and not spares
    kept = f"epoch {history.best_epoch + 1} is the best so far, and in {folder}" if has_weights else "nothing is saved"
    if isinstance(end, DivergenceError):
        return DivergenceError(f"{str(end).rstrip('.')}; {kept}." if has_weights else str(end), history)
    epochs = len(history.epoch)
    after = f"after epoch {epochs}" if epochs else "before the first epoch had ended"
    what = "interrupted" if end.signal == signal.SIGINT else "stopped by a signal"
    kept = kept if has_weights else "what was there before is untouched" if spares else "there are no weights yet"
    return TrainingInterrupted(f"{what} {after}: {kept}; resume goes on from here.", history, end.signal)


@contextlib.contextmanager
def _device(name: str | None) -> Iterator[None]:
    """Places variables and work on a device; `InputError` names those that TensorFlow sees."""
    if name is None:
        yield
        return
    from tfp_flows.quiet import importing_tensorflow

    with importing_tensorflow():
        import tensorflow as tf

    known = [device.name.removeprefix("/physical_device:") for device in tf.config.list_physical_devices()]
    if not isinstance(name, str) or name.upper() not in known:
        raise InputError(f"device must be one of {', '.join(known)}; got {in_short(name)}.")
    with tf.device(name.upper()):
        yield


def _scores(flow: "Flow", rows: RunRows, entropy: float | None) -> Scores:
    from tfp_flows import plots

    log_prob = plots.log_prob_of(flow, rows.x, context=rows.context)
    is_bound = {"is_bound": True} if flow.dequantize else {}  # NLL of whole numbers is that or less
    return Scores(log_prob, _summary(log_prob, entropy) | is_bound)


def _summary(log_prob: "np.ndarray", entropy: float | None) -> dict[str, Any]:
    """NLL with its standard error, and the gap where the entropy is known."""
    import numpy as np

    log_prob = log_prob.astype(np.float64)
    metrics = {"rows": len(log_prob), "nll": float(-log_prob.mean())}
    impossible = np.flatnonzero(np.isneginf(log_prob))
    if len(impossible):
        metrics |= {"impossible": len(impossible), "first_impossible": int(impossible[0]) + 1}
    elif len(log_prob) > 1:
        metrics["standard_error"] = float(log_prob.std(ddof=1) / np.sqrt(len(log_prob)))
    if entropy is not None:
        metrics |= {"entropy": entropy, "gap": metrics["nll"] - entropy}
    return metrics


def _figures(
    flow: "Flow", law: "Dataset | None", rows: RunRows, history: dict[str, list[float]], film: bool
) -> dict[str, Callable[[Path], Any]]:
    """For the name of each figure that makes sense, what draws it into a file."""
    from tfp_flows import plots

    limits = law.limits if law else None
    two = (0, 1) if flow.event_size > 2 else None  # of a picture that has no more; it says so
    if flow.event_size > 2:
        most = range(min(flow.event_size, MOST_SHOWN))
        stills = {"corner": lambda: plots.corner(flow, rows.x, context=rows.context, columns=most)}
    else:
        stills = {"samples": lambda: plots.samples(flow, rows.x, context=rows.context, limits=limits)}
    if history.get("nll") or history.get("kl"):
        stills["loss"] = lambda: plots.loss_curve(history, entropy=law.entropy if law else None)
    if flow.context_size == 0 and flow.event_size == 2:
        stills["density"] = lambda: plots.density(flow, limits=limits or plots.limits_of(rows.x))
        stills["grid"] = lambda: plots.grid_warp(flow, limits=limits)
        if law:
            stills["gap"] = lambda: plots.gap_map(flow, law)
    if flow.context_size == 0 and flow.event_size > 1:
        stills["layers"] = lambda: plots.layers(flow, columns=two, limits=limits)
    figures = {f"{name}.png": lambda path, make=make: make().savefig(path, dpi=150) for name, make in stills.items()}
    if film and flow.context_size == 0 and flow.event_size > 1:
        figures["flow.gif"] = lambda path: plots.animate_flow(flow, path, columns=two, force=True)
    return figures
