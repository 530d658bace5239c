"""A run: its folder if it has one, what it was made of, and the trials that are still missing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Any
from uuid import uuid4

import numpy as np

from analog_fhn import __version__
from analog_fhn._support.hashing import sha256
from analog_fhn._support.progress import Progress
from analog_fhn.backends.table.backend import default_drives
from analog_fhn.data import Dataset
from analog_fhn.data.class_shares import commonest
from analog_fhn.errors import InputError
from analog_fhn.inference import check_dataset, check_images, judge
from analog_fhn.montecarlo.cluster import dask_workers
from analog_fhn.montecarlo.directions import Directions
from analog_fhn.montecarlo.gradient import directions_of_slopes
from analog_fhn.montecarlo.plan import NETWORK_SETTINGS, SHORTFALL, Sweep, SweepPlan, SweepPoint
from analog_fhn.montecarlo.runner import Workers, local_workers, run_trials
from analog_fhn.montecarlo.shift_file import ShiftFile
from analog_fhn.montecarlo.statistics import known_well
from analog_fhn.montecarlo.store import FILE, MemoryStore, Store
from analog_fhn.montecarlo.trial import Job, Trial
from analog_fhn.network import Network
from analog_fhn.technology.technology import Technology
from analog_fhn.technology.typed_yaml import Section, defaults

SOBOL_FILE = "sobol.npz"  # in a run's folder: what its chips are shifted by
_BLOCK = 25  # chips of one point in a row: workers keep the designs of the last few points


@dataclass(frozen=True, eq=False)
class OpenRun:
    """A run that is open for writing.

    Parameters
    ----------
    folder, store
        Where it lies; without a folder it is in memory alone.
    plan, network, technology
        What is swept, and what it starts from.
    job
        What all trials have in common.
    specification
        Accuracy that a chip must reach.
    """

    folder: Path | None
    store: Store
    plan: SweepPlan
    network: Network
    technology: Technology
    job: Job
    specification: float

    def workers(self, number: int | None, scheduler: str | None) -> AbstractContextManager[Workers]:
        """Where trials run: processes of this machine, or a Dask cluster."""
        if scheduler is not None:
            return dask_workers(self.job, scheduler)
        return local_workers(self.job, number, self.folder)

    def run(self, workers: Workers, progress: Progress | None = None) -> None:
        """Run the trials of the plan that are missing.

        With sequential stopping in rounds: which chips are drawn does not depend on the workers.
        """
        points = [point for point in self.store.points() if point.role in ("sweep", "only", "without")]
        until = self.plan.until
        chips = self.plan.chips
        step = chips if until is None else until.every
        open_points = points
        for first in range(0, chips, step):
            last = min(first + step, chips)
            self.ensure(workers, [p.number for p in open_points], last, progress, total=len(points) * chips)
            if until is not None:
                open_points = [
                    p for p in open_points
                    if not known_well(self.store.trials(p.number)[:last], self.specification, until.width)
                ]  # fmt: skip
            if not open_points:
                return

    def ensure(
        self,
        workers: Workers,
        points: Sequence[int],
        chips: int,
        progress: Progress | None = None,
        *,
        first: int = 0,
        total: int | None = None,
    ) -> None:
        """Run what is missing of chips `first` to `chips` of some points.

        Parameters
        ----------
        progress
            Called with (trials stored, trials in all).
        total
            The latter; None: those asked for here.
        """
        done = self.store.done()
        asked = list(_in_blocks(points, first, chips))
        missing = [task for task in asked if task not in done]
        stored = len(done) if total is not None else len(asked) - len(missing)
        total = len(asked) if total is None else total

        def record(trials: Sequence[Trial]) -> None:
            nonlocal stored
            self.store.add(*trials)
            stored += len(trials)
            if progress is not None:
                progress(stored, total)

        if progress is not None:
            progress(stored, total)
        if missing:
            run_trials(workers, self.store.points(), missing, record)

    def add_point(self, point: SweepPoint) -> None:
        """Add a point to the run, and to its folder the point's technology as a file."""
        self.store.add_point(point)
        if self.folder is not None:
            point.design(self.network, self.technology).technology.save(technology_file(self.folder, point.number))


def _in_blocks(points: Sequence[int], first: int, chips: int) -> Iterable[tuple[int, int]]:
    for begin in range(first, chips, _BLOCK):
        for point in points:
            for chip in range(begin, min(begin + _BLOCK, chips)):
                yield point, chip


def technology_file(folder: Path, point: int) -> Path:
    """Technology of a point of a run, for `classify --technology`."""
    return folder / "technologies" / f"point_{point:03d}.yaml"


def open_run(
    folder: Path | None,
    plan: SweepPlan,
    network: Network,
    technology: Technology,
    images: Dataset,
    *,
    resume: bool = False,
    notes: dict[str, Any] | None = None,
) -> OpenRun:
    """Begin a run in a folder, or go on with the one that is there.

    Parameters
    ----------
    folder
        Where the run lies, a folder that exists; None: in memory.
    network, technology, images
        What the plan starts from, and what the chips are judged by.
    resume
        Go on with a run of the same configuration; without one in the folder a new one begins.
    notes
        JSON values that are stored with the run (the plan's text, versions).

    Raises
    ------
    InputError
        If the folder holds a run and `resume` is not given, or it was made from another configuration; for a point of
        the plan that cannot be built; for images that do not fit the network or do not hold the classes in their
        shares, or of which the network, or a chip that just meets the specification, is right on no more than always
        answering one class is.
    """
    check_images(network, images.images)
    check_dataset(network, images)
    points = plan.all_points(network, technology)
    plain = network.forward(images.images).argmax(axis=1)
    accuracy = float(np.mean(plain == images.labels))
    specification = accuracy - SHORTFALL if plan.specification is None else plan.specification
    configuration = _configuration(plan, network, technology, images, points)
    if folder is not None and resume and (folder / FILE).exists():
        store = _resumed(folder, configuration, points)
    else:
        check_promise(images, accuracy, specification)
        meta = {
            "configuration": configuration,
            "accuracy_plain": accuracy,
            "specification": specification,
            "n_images": len(images.labels),
            "n_classes": network.layer_sizes[-1],
            "images": images.source,
        } | (notes or {})
        store = MemoryStore(meta, points) if folder is None else Store.create(folder, meta, points)
    job = Job(
        uuid4().hex, network, technology, images.images, images.labels, plain, plan.seed, plan.backend, plan.table,
        keep=None if folder is None else folder.resolve() / "failed",
    )  # fmt: skip
    try:
        if plan.sobol:
            job = replace(job, directions=_sobol_directions(folder, job, points[0]))
        run = OpenRun(folder, store, plan, network, technology, job, specification)
        if folder is not None:
            for leftover in folder.glob(".images-*"):
                shutil.rmtree(leftover, ignore_errors=True)
            network.save(folder / "network.npz")
            (folder / "technologies").mkdir(exist_ok=True)
        for point in points:
            run.add_point(point)
        _judge_nominal(run)
    except OSError as error:
        store.close()
        raise InputError(f"{error.filename or folder}: cannot be written ({error.strerror})") from None
    except BaseException:
        store.close()
        raise
    return run


def _sobol_directions(folder: Path | None, job: Job, first: SweepPoint) -> Directions:
    """Directions of Sobol's points: those of the run in the folder, else along the slopes at the first point."""
    path = None if folder is None else folder / SOBOL_FILE
    if path is not None and path.exists():
        return ShiftFile.load(path, job.network).directions
    directions = directions_of_slopes(job, first.design(job.network, job.technology))
    if path is not None:
        ShiftFile(directions, None, job.seed).save(path, job.network)
    return directions


def _resumed(folder: Path, configuration: dict[str, Any], points: Sequence[SweepPoint]) -> Store:
    """Store of a run that lies in a folder, of the same configuration and points."""
    store = Store(folder, write=True)
    try:
        compare_configurations(store.known("configuration")["configuration"], configuration, folder)
        _check_rows(folder / FILE, store, points)
    except BaseException:
        store.close()
        raise
    return store


def check_promise(images: Dataset, accuracy: float, specification: float) -> None:
    """Refuse images, a network or a specification with which a yield says nothing of the chips.

    Parameters
    ----------
    images
        That chips are judged by.
    accuracy
        Of the plain network on them.
    specification
        Accuracy that a chip must reach.

    Raises
    ------
    InputError
        Naming the images or the specification.
    """
    if images.unfair:
        raise InputError(f"{images.source}: {images.unfair}; expected each class in its share")
    often, share = commonest(images.labels)
    dead = f"a chip that always answers {often} is right on {share:.2%}"
    if accuracy <= share:
        raise InputError(
            f"{images.source}: the plain network is right on {accuracy:.2%} of the {len(images.labels)} images, and "
            f"{dead}; expected the images and classes that it was trained for, of several classes"
        )
    if specification <= share:
        raise InputError(f"specification = {specification:g}: {dead} of the images; expected more")


def _check_rows(path: Path, store: Store, points: Sequence[SweepPoint]) -> None:
    """Refuse a run whose rows are not readable, or whose points are others than the plan's."""
    store.trials()
    for stored, point in zip(store.points(), points, strict=False):
        if (stored.role, dict(stored.settings)) != (point.role, json.loads(json.dumps(dict(point.settings)))):
            raise InputError(
                f"{path}, table points, point {point.number}: {_short(dict(stored.settings))}; the plan "
                f"says {_short(dict(point.settings))}"
            )


def _judge_nominal(run: OpenRun) -> None:
    """What the chip without spread reaches at each point of the plan, where that takes no time."""
    if run.plan.backend != "direct":
        return
    known = run.store.nominal()
    for point in run.store.points():
        if point.role != "sweep" or point.number in known:
            continue
        design = point.design(run.network, run.technology)
        network, job = design.network, run.job
        engine = job.engine(network.readout, "nominal")
        readout = network.readout, network.recentre
        result = judge(design.chip(None), job.mapped(), [readout], engine, window=False)[0]
        run.store.set_nominal(point.number, result.accuracy(job.labels))


def _configuration(
    plan: SweepPlan, network: Network, technology: Technology, images: Dataset, points: Sequence[SweepPoint]
) -> dict[str, Any]:
    """Everything that decides the trials; paths are replaced by what they lead to."""
    values = plan.model_dump(exclude={"network", "technology", "dataset", "allocation"})
    if not values.get("stratified"):
        values.pop("stratified", None)  # as runs have it that began before images could be drawn
    content = {
        "plan": values,
        "points": [[point.role, dict(point.settings)] for point in points],
        "network": network.sha256,
        "readout": [network.readout, network.recentre],
        "fhn": vars(network.fhn),
        "protocol": vars(network.protocol),
        "technology": technology.model_dump(exclude={"classes"}),
        # Trials of an allocation name their classes; what these cost may change.
        "classes": {key: {part.name: part.values for part in parts} for key, parts in technology.classes.items()},
        "images": sha256(images.images),
        "labels": sha256(images.labels),
        "analog-fhn": __version__,
    }
    loaded: dict[str, Any] = json.loads(json.dumps(content))
    return loaded


def compare_configurations(stored: dict[str, Any], planned: dict[str, Any], folder: Path) -> None:
    """Refuse to go on in a folder with another configuration; a key that is younger than the run had its default then.

    Raises
    ------
    InputError
        Naming what differs.
    """

    def differences(a: Any, b: Any, key: str) -> Iterable[str]:
        if isinstance(a, dict) and isinstance(b, dict):
            for name in dict.fromkeys([*a, *b]):
                yield from differences(a.get(name), b.get(name), f"{key}.{name}" if key else name)
        elif a != b:
            yield f"{key} was {_short(a)} and is {_short(b)}"

    if changes := list(differences(_with_defaults(stored), _with_defaults(planned), "")):
        raise InputError(
            f"{folder}: holds a run of another configuration ({'; '.join(changes[:5])}); expected the same plan, "
            "network, technology and images, or another folder"
        )


def _with_defaults(configuration: dict[str, Any]) -> dict[str, Any]:
    """A configuration with the defaults of the keys of plan and technology that it lacks."""
    models: dict[str, type[Section]] = {"plan": Sweep, "technology": Technology}
    return configuration | {key: defaults(model) | configuration.get(key, {}) for key, model in models.items()}


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def reproduce_command(point: SweepPoint, seed: int, meta: dict[str, Any]) -> str:
    """What classifies the same images with one chip of a run.

    A command, to be given inside the run's folder, where the images are those of a file or data set; else an expression
    with the result `study` of the sweep and the images.
    """
    plan = meta["configuration"]["plan"]
    readout = point.settings.get("readout") or meta["configuration"]["readout"][0]
    table = default_drives(plan["backend"], readout) if plan["table"] is None else plan["table"]
    if "dataset" not in meta:
        options = [f"backend={plan['backend']!r}"] if plan["backend"] != "direct" else []
        options += [f"table={table}"] if table else []
        design = f"study.design({point.number})"
        chip = f"study.shift.chip({design}, {seed})" if plan.get("sobol") else f"{design}.chip({seed})"
        return f"af.classify({', '.join([chip, 'images', *options])})"
    options = [f"--{key} {point.settings[key]}" for key in NETWORK_SETTINGS if point.settings.get(key) is not None]
    if table:
        options.append(f"--table {table}")
    if plan.get("sobol"):
        options.append(f"--shift {SOBOL_FILE}")
    if plan["backend"] != "direct":
        options.append(f"--backend {plan['backend']}")
    if plan["images"] is not None:
        options.append(f"--images {plan['images']}")
    if plan.get("stratified"):
        options.append(f"--stratified --images-seed {plan['seed']}")
    if plan["split"] != "test":
        options.append(f"--split {plan['split']}")
    technology = technology_file(Path(), point.number)
    return (
        f"analog-fhn classify network.npz --dataset {quote(meta['dataset'])} --technology {technology} --chip {seed} "
        f"{' '.join(options)}"
    ).rstrip()
