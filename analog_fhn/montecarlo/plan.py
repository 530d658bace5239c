"""The sweep file: typed, unknown keys are errors, documented defaults; and the points that it asks for."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator

from analog_fhn._support.plugins import plugins
from analog_fhn._support.yaml_files import read_yaml
from analog_fhn.backends import BACKENDS
from analog_fhn.design import Design
from analog_fhn.errors import InputError, shown
from analog_fhn.inference import check_converters
from analog_fhn.network import Network
from analog_fhn.technology.quantities import Number, Quantity, Share
from analog_fhn.technology.technology import Technology
from analog_fhn.technology.typed_yaml import Place, Section, explain, plain

# Settings of a point that change the network; all others are keys of the technology, or `errors`.
NETWORK_SETTINGS = ("gamma", "a", "eps", "slope", "settle", "control", "readout")

_LONGEST_NAME = 100  # characters of a point's name in a message
SHORTFALL = 0.005  # a specification is this below the accuracy of the plain network where none is set
MOST_POINTS = 10_000  # of a grid; a design is made of each before the work begins


def _known_backend(name: str) -> str:
    if name not in (known := [*BACKENDS, *plugins("backend")]):
        raise ValueError(f"expected one of {', '.join(known)}")
    return name


# Large enough for any plan that can be carried out, small enough for a database.
Many = Annotated[int, Quantity("1", (1, 1e15))]
Between0And1 = Annotated[float, Quantity("1", (1e-6, 0.999999))]
Setting = float | int | bool | str | None | list[str] | list[float]
Role = Literal["sweep", "only", "without", "allocation"]


class Until(Section):
    """Sequential stopping: chips are added until the yield of a point is known as well as asked, or `chips` are drawn.

    Parameters
    ----------
    width
        Of the 95 % Wilson interval of the yield.
    every
        Chips of each point between two looks.
    """

    width: Between0And1
    every: Many = 50


class Allocation(Section):
    """What the tolerance allocation has to reach; see `analog_fhn.montecarlo.allocation`.

    Parameters
    ----------
    target
        Yield (key `yield` of the file).
    chips, confirm
        Most chips per choice of classes, and fresh chips that confirm the cheapest one.
    keep
        Keys of the technology's `classes` that stay as they are.
    """

    model_config = ConfigDict(populate_by_name=True)

    target: Annotated[Between0And1, Field(alias="yield")]
    chips: Many = 200
    confirm: Many = 400
    keep: Annotated[list[str], Field(default_factory=list)]


@dataclass(frozen=True)
class SweepPoint:
    """One set of conditions that all chips are judged under.

    Parameters
    ----------
    number
        Within the run, from 0.
    role
        sweep: asked for by the plan; only, without: one error group alone, or left out; allocation: a choice of part
        classes.
    name
        What differs from the plan's other points.
    settings
        Network settings, technology keys, and `errors`, the groups that are spread.
    amounts
        How far the chips are shifted along the directions of the job, in sigmas; None: they are not.
    """

    number: int
    role: Role
    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    amounts: tuple[float, ...] | None = None

    def design(self, network: Network, technology: Technology) -> Design:
        """The design under these conditions.

        Raises
        ------
        InputError
            For an unknown key or a refused value; names the point.
        """
        try:
            options = {key: value for key, value in self.settings.items() if key in NETWORK_SETTINGS}
            errors, classes = self.settings.get("errors"), self.settings.get("classes", {})
            values = {k: v for k, v in self.settings.items() if k not in options and k not in ("errors", "classes")}
            self._check_types(options, errors, classes)
            # A class that is chosen stands, whatever the plan says of the values that it sets.
            changed = technology.with_values(values).with_classes(classes)
            if errors is not None:
                changed = changed.with_errors(errors)
            design = Design(network.with_options(**options), changed)
            if changed.adc is not None:
                check_converters(design.chip(None), [design.network.readout])
            return design
        except InputError as error:
            name = self.name if len(self.name) <= _LONGEST_NAME else f"{self.name[:_LONGEST_NAME]}..."
            raise InputError(f"point {self.number} ({name}): {error}") from None

    @staticmethod
    def _check_types(options: Mapping[str, Any], errors: Any, classes: Any) -> None:
        """Of what no technology checks."""
        for key, value in options.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if key != "readout" and value is not None and not number:
                raise InputError(f"{key} = {shown(value)}: expected a number")
        if errors is not None and not (isinstance(errors, list) and all(isinstance(group, str) for group in errors)):
            raise InputError(f"errors = {shown(errors)}: expected a list of error groups, or null for all")
        if not isinstance(classes, Mapping):
            raise InputError(f"classes = {shown(classes)}: no setting of a plan; `analog-fhn allocate` chooses classes")


class SweepPlan(Section):
    """What to sweep, whatever the network, the technology and the images.

    Parameters
    ----------
    chips
        Number of chips per point.
    seed
        Root seed; chip k depends on (seed, k) alone, so that all points have their random numbers in common.
    readout, gamma
        Override the network's.
    errors
        Error groups that are spread; null: all.
    settings
        Further settings of all points: gamma, a, eps, slope, settle, control, readout, or any value of the technology
        by its key (`resistor.tolerance`, `array.levels`, `conditions.temperature`, ...); `array.device` may be a path
        relative to the sweep file.
    points
        Settings of each point, a list of mappings; null: one point.
    grid
        Values per setting; every combination is a point, at most 10 000. Not together with `points`.
    backend
        What integrates the neurons.
    table
        Drives per neuron of the response table; 0: every image is simulated. Default: 9 for the mean readout by direct,
        33 else.
    specification
        Accuracy (fraction) that a chip must reach; null: the plain network's accuracy less 0.005.
    until
        Sequential stopping; null: `chips` chips.
    sobol
        Chips are drawn at the points of a scrambled Sobol sequence along the slopes of the accuracy at the first point
        of the plan, a direction per error group; all else of a chip is drawn as ever. `chips` is then 2^m, and there is
        neither `until` nor `allocation`.
    sensitivity
        Adds for each error group that the technology spreads a point with this group alone, and one without it.
    allocation
        What `analog-fhn allocate` has to reach.
    """

    chips: Many
    seed: Annotated[int, Quantity("1", (0, 2**63 - 1))]
    readout: Literal["vote", "mean"] | None = None
    gamma: Number | None = None
    errors: list[str] | None = None
    settings: Annotated[dict[str, Setting], Field(default_factory=dict)]
    points: Annotated[list[dict[str, Setting]], Field(min_length=1)] | None = None
    grid: dict[str, Annotated[list[Setting], Field(min_length=1)]] | None = None
    backend: Annotated[str, AfterValidator(_known_backend)] = "direct"
    table: Annotated[int, Quantity("1", (0, 1e15))] | None = None
    specification: Share | None = None
    until: Until | None = None
    sobol: bool = False
    sensitivity: bool = False
    allocation: Allocation | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.points is not None and self.grid is not None:
            raise ValueError("points and grid: expected one of them")
        if self.grid is not None and (points := math.prod(map(len, self.grid.values()))) > MOST_POINTS:
            raise ValueError(f"grid of {points:.3g} points: expected at most {MOST_POINTS}")
        if self.table is not None and 0 < self.table < 5:
            raise ValueError(f"table = {self.table}: expected at least 5 drives, or 0 for no table")
        if self.sobol:
            self._check_sobol()
        for key in ("readout", "gamma", "errors"):
            if getattr(self, key) is not None and key in self.settings:
                raise ValueError(f"{key} stands in the file and in its settings: expected one of them")
        return self

    def _check_sobol(self) -> None:
        if self.chips & (self.chips - 1):
            below = 1 << (self.chips.bit_length() - 1)
            raise ValueError(
                f"chips = {self.chips} with sobol: Sobol's points lie evenly in numbers of 2^m; expected {below} or "
                f"{2 * below}"
            )
        for key in ("until", "allocation"):
            if getattr(self, key) is not None:
                raise ValueError(
                    f"{key} with sobol: its intervals are those of chips that do not depend on each other; expected "
                    "one of them"
                )

    @property
    def common(self) -> dict[str, Any]:
        """Settings that all points share."""
        overrides: dict[str, Any] = {"readout": self.readout, "gamma": self.gamma, "errors": self.errors}
        return {key: value for key, value in overrides.items() if value is not None} | self.settings

    def all_points(self, network: Network, technology: Technology) -> list[SweepPoint]:
        """Points of the plan, each tried out: a design is made of it.

        Raises
        ------
        InputError
            For an unknown key or a refused value; names the point.
        """
        if self.grid is not None:
            varied = [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]
        else:
            varied = self.points or [{}]
        points = [
            SweepPoint(number, "sweep", described(changes) or "as planned", self.common | changes)
            for number, changes in enumerate(varied)
        ]
        designs = [point.design(network, technology) for point in points]
        if self.sensitivity:
            for role, groups in _group_points(designs[0]):
                name = f"{'only' if role == 'only' else 'all but'} {groups[0]}"
                errors = groups[:1] if role == "only" else groups[1:]
                points.append(SweepPoint(len(points), role, name, dict(points[0].settings) | {"errors": errors}))
        return points


class Sweep(SweepPlan):
    """A sweep file: a plan, and what it starts from.

    Parameters
    ----------
    network
        Network file, relative to the sweep file.
    technology
        Name, or path of a YAML file relative to the sweep file.
    images
        Number of images, from the first on; null: all.
    stratified
        Draw the images, by `seed`, so that each class has its share, instead of taking the first ones.
    dataset
        mnist, digits, or a path relative to the sweep file.
    split
        Which images.
    """

    network: Place
    technology: Place
    images: Many | None = None
    stratified: bool = False
    dataset: Place
    split: Literal["train", "test"] = "test"

    @classmethod
    def load(cls, path: Path) -> Sweep:
        """Read a sweep file; paths in it become relative to its folder.

        Raises
        ------
        InputError
            Unreadable file, unknown or missing key, wrong type or value; names the file and the key.
        """
        data = read_yaml(path, "sweep")
        try:
            sweep = cls.model_validate(data)
        except ValidationError as error:
            raise InputError(explain(path, error, data)) from None
        folder = path.parent
        changed = {"network": str(folder / sweep.network)}
        if sweep.technology.endswith((".yaml", ".yml")):
            changed["technology"] = str(folder / sweep.technology)
        if sweep.dataset not in ("mnist", "digits"):
            changed["dataset"] = str(folder / sweep.dataset)
        settings = {
            "settings": _placed(sweep.settings, folder),
            "points": None if sweep.points is None else [_placed(point, folder) for point in sweep.points],
            "grid": None if sweep.grid is None else _placed(sweep.grid, folder),
        }
        return sweep.model_copy(update=changed | settings)


def _placed(settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Settings with the path of a device preset, or a list of paths, relative to the sweep file."""

    def placed(value: Any) -> Any:
        if isinstance(value, list):
            return [placed(item) for item in value]
        return str(folder / value) if isinstance(value, str) and value.endswith((".yaml", ".yml")) else value

    return {key: placed(value) if key == "array.device" else value for key, value in settings.items()}


def _group_points(design: Design) -> list[tuple[Role, list[str]]]:
    """Role, and the group in question before those that stay when it goes, for each group that the design has."""
    technology = design.technology
    exact = technology.with_errors(())
    present = [group for group in technology.ERRORS if technology.with_errors([group]) != exact]
    if not any(design.network.held):
        present = [group for group in present if group != "hold"]
    others = [[group, *(other for other in present if other != group)] for group in present]
    return [("only", groups) for groups in others] + [("without", groups) for groups in others]


def described(settings: Mapping[str, Any]) -> str:
    """Settings in one line."""

    def text(value: object) -> str:
        if isinstance(value, Mapping):
            return described(value)
        if isinstance(value, list):
            return f"[{', '.join(map(text, value))}]"
        return plain(value) if isinstance(value, str) else str(value)

    return ", ".join(f"{key} = {text(value)}" for key, value in settings.items())
