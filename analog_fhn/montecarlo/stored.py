"""What a run's file may hold: every row is checked as it is read, whoever has written to the file since."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from analog_fhn._support.json_text import read_json
from analog_fhn.errors import InputError, shown
from analog_fhn.montecarlo.plan import Role, Sweep, SweepPoint
from analog_fhn.montecarlo.trial import Trial
from analog_fhn.technology.quantities import Share
from analog_fhn.technology.typed_yaml import Section, explain

_LARGEST = 2**31
_COUNTS = re.compile(r"\[\d{1,10}(, ?\d{1,10})*\]")


def _text(value: str) -> str:
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ValueError("expected text that can be written to a file")
    return value


def _name(value: str) -> str:
    if not value.split():
        raise ValueError("expected a name")
    return _text(value)


def _setting(value: object) -> object:
    """A value that a plan can give: null, true, a number, a text, a list of these; or the classes of an allocation."""
    if isinstance(value, dict) and value and all(isinstance(part, str) for part in value.values()):
        parts = [*value, *value.values()]
    else:
        parts = value if isinstance(value, list) else [value]
    for part in parts:
        if isinstance(part, str):
            _text(part)
        elif not (part is None or (isinstance(part, int | float) and abs(part) < 2**63)):
            raise ValueError("expected a number, text, true, false, null or a list of these")
    return value


Text = Annotated[str, AfterValidator(_text)]
Name = Annotated[str, AfterValidator(_name)]
Setting = Annotated[Any, AfterValidator(_setting)]
Count = Annotated[int, Field(ge=0, lt=_LARGEST)]
AtLeast1 = Annotated[int, Field(ge=1, lt=_LARGEST)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Classes = dict[Text, Text]


class _TrialRow(Section):
    point: Count
    trial: Count
    chip_seed: Annotated[int, Field(ge=0, lt=2**32)]
    status: Literal["done", "failed"]
    accuracy: Share | None
    agreement: Share | None
    confusion: str | None
    table_error: NonNegative | None
    window_error: NonNegative | None
    message: Text
    seconds: NonNegative

    @model_validator(mode="after")
    def _consistent(self) -> _TrialRow:
        if (self.status == "done") != (self.accuracy is not None):
            raise ValueError(f"status {self.status!r} with accuracy {self.accuracy}: only a chip that is done has one")
        return self


class _PointRow(Section):
    point: Count
    role: Role
    name: Name
    settings: dict[Text, Setting]
    nominal_accuracy: Share | None


class _Parts(BaseModel):
    model_config = ConfigDict(strict=True)

    classes: Classes
    cost: Finite


class _Confirmation(BaseModel):
    model_config = ConfigDict(strict=True)

    point: Count
    n_trials: AtLeast1
    share: Annotated[Share, Field(alias="yield")]
    yield_low: Share
    yield_high: Share
    median_accuracy: Share | None = None


class _Step(_Parts):
    n_trials: AtLeast1
    share: Annotated[Share, Field(alias="yield")]
    yield_low: Share
    yield_high: Share
    verdict: Literal["meets", "fails"]


class _Allocation(BaseModel):
    model_config = ConfigDict(strict=True)

    target: Share
    specification: Finite
    present: _Parts
    chosen: _Parts | None
    steps: list[_Step] | None = None
    confirmation: _Confirmation | None = None
    unpriced: list[Text] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> _Allocation:
        if self.chosen is not None and set(self.chosen.classes) - set(self.present.classes):
            raise ValueError("chosen and present classes are of other parts")
        return self


class _Term(BaseModel):
    model_config = ConfigDict(strict=True)

    group: Text
    coefficient: Finite | None
    low: Finite | None
    high: Finite | None
    share: Finite

    @model_validator(mode="after")
    def _consistent(self) -> _Term:
        if {self.coefficient is None, self.low is None, self.high is None} != {self.coefficient is None}:
            raise ValueError("expected a coefficient with both ends of its interval, or none of them")
        return self


class _Regression(BaseModel):
    model_config = ConfigDict(strict=True)

    n_chips: Count
    n_images: Count
    explained: Finite
    terms: list[_Term]
    components: list[Annotated[list[Text | Finite], Field(min_length=3, max_length=3)]]

    @model_validator(mode="after")
    def _consistent(self) -> _Regression:
        if any([type(value) for value in row] not in ([str, str, float], [str, str, int]) for row in self.components):
            raise ValueError("components: expected a name, a group and a number each")
        return self


class _Technology(BaseModel):
    model_config = ConfigDict(strict=True)

    name: Text = ""
    source: Text | None = None


class _Protocol(BaseModel):
    model_config = ConfigDict(strict=True)

    settle: Finite = 0.0
    control: Finite = 0.0


class _Configuration(BaseModel):
    model_config = ConfigDict(strict=True)

    plan: dict[str, Any]
    technology: _Technology | None = None
    protocol: _Protocol | None = None
    readout: Annotated[list[Text | bool], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _plan_of_a_sweep(self) -> _Configuration:
        # Files that the plan names are no part of a configuration, but what they hold.
        Sweep.model_validate({"network": "-", "technology": "-", "dataset": "-"} | self.plan)
        return self


class _Meta(BaseModel):
    """Keys that are used; a run may hold others."""

    model_config = ConfigDict(strict=True)

    configuration: _Configuration | None = None
    accuracy_plain: Share = 0.0
    specification: Finite = 0.0
    n_images: AtLeast1 = 1
    n_classes: AtLeast1 = 1
    images: Text = ""
    plan: Text = ""
    dataset: Text = ""
    versions: dict[Text, Text] | None = None
    allocation: _Allocation | None = None
    regression: _Regression | None = None


def meta(path: Path, rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    """JSON values of the table `meta` by their key, checked.

    Parameters
    ----------
    path
        The run's file, for messages.
    rows
        Key and value.

    Raises
    ------
    InputError
        Naming file, table and key.
    """
    values: dict[str, Any] = {}
    for key, text in rows:
        if not isinstance(key, str):
            raise InputError(f"{path}, table meta: key {shown(key)}: expected text")
        values[key] = _json(text, f"{path}, table meta, key {shown(key)}")
    _checked(_Meta, values, f"{path}, table meta")
    return values


def points(path: Path, rows: list[tuple[Any, ...]]) -> tuple[list[SweepPoint], dict[int, float]]:
    """Points by their number, and accuracies of their nominal chips; `rows` are those of the table, in its order.

    Raises
    ------
    InputError
        Naming file, table and row; or if the numbers are not 0, 1, ...
    """
    points, nominal = [], {}
    for expected, (number, role, name, settings, accuracy) in enumerate(rows):
        where = f"{path}, table points, point {shown(number)}"
        content = _json(settings, f"{where}: settings")
        row = _checked(
            _PointRow,
            {"point": number, "role": role, "name": name, "settings": content, "nominal_accuracy": accuracy},
            where,
        )
        if row.point != expected:
            raise InputError(f"{where}: expected point {expected}; points are numbered from 0")
        points.append(SweepPoint(number, role, name, content))
        if accuracy is not None:
            nominal[row.point] = float(accuracy)
    return points, nominal


def trials(path: Path, rows: list[Trial], n_points: int, known: Mapping[str, Any]) -> list[Trial]:
    """The trials, each checked.

    Parameters
    ----------
    n_points
        Number of points that they may belong to.
    known
        Meta values of the run; of `n_images` and `n_classes` must be the confusions.

    Raises
    ------
    InputError
        Naming file, table and row.
    """
    n_classes, n_images = known.get("n_classes"), known.get("n_images")
    for trial in rows:
        try:
            _TrialRow.model_validate(vars(trial))
            if trial.point >= n_points:
                raise InputError(f"there is no such point; expected 0 to {n_points - 1}")
            if trial.confusion is not None:
                _check_confusion(trial.confusion, n_classes, n_images)
        except (ValidationError, InputError) as error:
            where = f"{path}, table trials, point {shown(trial.point)}, trial {shown(trial.trial)}"
            if isinstance(error, ValidationError):
                raise InputError(explain(where, error, vars(trial))) from None
            raise InputError(f"{where}: {error}") from None
    return rows


def _check_confusion(text: str, n_classes: int | None, n_images: int | None) -> None:
    if _COUNTS.fullmatch(text) is None:
        raise InputError(f"confusion = {shown(text)}: expected a list of counts")
    counts = [int(count) for count in text[1:-1].split(",")]
    if n_classes is not None and len(counts) != n_classes**2:
        raise InputError(f"confusion: {len(counts)} counts; expected {n_classes} x {n_classes}, one row per class")
    if n_images is not None and sum(counts) != n_images:
        raise InputError(f"confusion: counts of {sum(counts)} images; expected {n_images}")


def _json(text: object, where: str) -> Any:
    if not isinstance(text, str):
        raise InputError(f"{where}: {shown(text)}: expected JSON text")
    return read_json(text, where)


_Model = TypeVar("_Model", bound=BaseModel)


def _checked(model: type[_Model], content: dict[str, Any], where: str) -> _Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise InputError(explain(where, error, content)) from None
