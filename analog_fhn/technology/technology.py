"""The parts to build with, read from a YAML file: by name from `calibration/`, or by the user's path."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, ValidationError, model_validator

from analog_fhn._support.cards import Card, Shown
from analog_fhn._support.files import write_text
from analog_fhn._support.plugins import check_subclass, named_class
from analog_fhn._support.resources import resource
from analog_fhn._support.words import engineering
from analog_fhn._support.yaml_files import read_yaml, yaml_text
from analog_fhn.errors import InputError, shown
from analog_fhn.neuron import Protocol
from analog_fhn.technology import quantities as of
from analog_fhn.technology.sections import (
    Adc,
    Array,
    ColumnStage,
    Conditions,
    Dac,
    Die,
    ESeries,
    Hold,
    LowPass,
    PartClass,
)
from analog_fhn.technology.typed_yaml import Name, Section, Words, explain, find_yaml, listed, plain
from analog_fhn.technology.wires import Wires

# Module and class of the technology of every cell, by the name that a file's `cell` calls it.
TECHNOLOGIES = {
    "opamp_fhn": ("analog_fhn.technology.board", "BoardTechnology"),
    "ota_fhn": ("analog_fhn.technology.silicon", "SiliconTechnology"),
}

_CELL = "opamp_fhn"  # of a file that names none

# Section that describes the parts, and what a class of them may set of it. Nominal values, ranges and limits are not
# among it: they are for the designer to choose.
PartKind = tuple[str, tuple[str, ...]]
# Values that leave an error group out, by group, section ("": the technology itself) and field.
ErrorGroups = Mapping[str, Mapping[str, Mapping[str, object]]]

AMPLIFIER_FIELDS = (
    "offset_sigma", "offset_drift", "bias_current", "gain", "gain_bandwidth", "slew_rate", "quiescent_current",
    "voltage_noise_density",
)  # fmt: skip


class Header(Section):
    """What every technology's file begins with.

    Parameters
    ----------
    cell
        Circuit of the hidden cells, which decides what other sections there are.
    time_unit
        Duration of one unit of dimensionless time (s).
    """

    format: Literal[1]
    name: Name
    source: Words
    cell: Name = _CELL
    time_unit: of.TimeUnit


class Technology(Shown, Header):
    """The parts to build with, their spread and the conditions: typed and frozen, a section for each kind of part.

    `load` reads a technology from its file, `save` writes it back unchanged. `classes` lists parts that may be bought
    instead of those in the sections, by the keys of `CLASSES`; they have no effect on a chip until `with_classes`
    chooses them. Here stands what any circuit has; a subclass, one for each of `TECHNOLOGIES`, adds the sections of
    its parts. Its bases are this class and a `Header` with these sections, so that they stand in a file before those
    of this class.

    Attributes
    ----------
    CLASSES
        Kinds of parts that come in classes.
    ERRORS
        What to put in place to leave an error group out; see `with_errors`.
    SHORT
        Names of several error groups at once.
    LOTS
        Number of the random streams of lots, by section with a `lot_share`. A number means the same section in all
        technologies and for ever: chips are made of it.
    READ_OUT
        Circuit behind the arrays, by its name in `analog_fhn.array.read_out`; `sense_amplifier` is its section.
    CONSUMPTION
        How what an answer takes is found, by its name in `analog_fhn.studies.consumption`.
    BOUGHT
        Whether parts are bought, so that there is a bill of materials; else prices are areas.
    INPUT_SCALES
        Key of the value that the volts in front of a drive stage grow with, by the stage's curve ("tanh", "ramp").
    """

    CLASSES: ClassVar[Mapping[str, PartKind]] = {
        "array": ("array", ("programming_error", "stuck_on", "stuck_off", "read_noise", "temperature_coefficient")),
    }
    ERRORS: ClassVar[ErrorGroups] = {
        "programming": {"array": {"programming_error": 0.0}},
        "faults": {"array": {"stuck_on": 0.0, "stuck_off": 0.0}},
        "read_noise": {"array": {"read_noise": 0.0}},
        "drift": {"array": {"drift_time": None}},
        "array_temperature": {"array": {"temperature_coefficient": 0.0}},
        "nonlinearity": {"array": {"nonlinearity": None}},
        "wires": {"array": {"wires": Wires()}},
        "dac": {"": {"dac": None}},
        "adc": {"": {"adc": None}},
        "hold": {"hold": {"offset_sigma": 0.0, "droop_sigma": 0.0, "noise": 0.0}},
        "die": {"die": {"share": 0.0, "gradient_share": 0.0}},
    }
    SHORT: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "array": ("programming", "faults", "read_noise", "drift", "array_temperature", "nonlinearity", "wires"),
        "amplifier": ("amplifier_offset", "amplifier_gain"),
    }
    LOTS: ClassVar[Mapping[str, int]] = {"sense_amplifier": 5, "hold": 6}
    READ_OUT: ClassVar[str] = "transimpedance"
    CONSUMPTION: ClassVar[str] = "supply currents"
    BOUGHT: ClassVar[bool] = True
    INPUT_SCALES: ClassVar[Mapping[str, str]] = {}

    low_pass: LowPass = LowPass()
    hold: Hold = Hold()
    sense_amplifier: ColumnStage
    array: Array
    dac: Dac | None = None
    adc: Adc | None = None
    conditions: Conditions = Conditions()
    die: Die = Die()
    classes: dict[str, list[PartClass]] = Field(default_factory=dict)

    def _card(self) -> Card:
        array, conditions, (high, low) = self.array, self.conditions, self.rails
        number = len(array.level_values) if array.level_values is not None else None
        levels = "any value" if number is None else f"{number} levels"
        facts = {
            "source": self.source,
            "supplies": f"{high:g} V" if low == 0.0 else f"{high:g} V, {low:g} V",
            "conditions": f"{conditions.temperature:g} K, supplies x {conditions.supply:g}",
            "conductances": f"{engineering(array.g_min, 'S')} to {engineering(array.g_max, 'S')}, {levels}",
            "read voltage": engineering(array.read_voltage, "V"),
            "errors": ", ".join(self.spread_groups) or "none",
        }
        return Card(f"Technology {self.name}", f"cell {self.cell}, T = {engineering(self.time_unit, 's')}", facts)

    @property
    def spread_groups(self) -> tuple[str, ...]:
        """Error groups of `ERRORS` that are not left out."""
        return tuple(
            group
            for group, sections in self.ERRORS.items()
            if any(
                getattr(getattr(self, section) if section else self, key) != exact
                for section, values in sections.items()
                for key, exact in values.items()
            )
        )

    @property
    @abstractmethod
    def rails(self) -> tuple[float, float]:
        """Nominal voltages of the positive and of the negative supply against the circuit's ground (V)."""

    @property
    @abstractmethod
    def column_range(self) -> float:
        """Largest magnitude of an output voltage of an array that the design may use (V)."""

    @property
    def array_series(self) -> ESeries | None:
        """E series that the resistors of an array of fixed conductances are taken from; None: any value.

        A technology whose arrays are built of bought resistors overrides this.
        """
        return None

    @property
    def supply_span(self) -> float:
        """Voltage between the supplies under the conditions (V)."""
        high, low = self.rails
        return (high - low) * self.conditions.supply

    @property
    def lost_swing(self) -> float:
        """Volts that an output's swing loses at this corner: it keeps its distance to the rail that moved most."""
        lost, (high, low) = 1.0 - self.conditions.supply, self.rails
        return max(lost * high, -lost * low)

    @property
    def column_swing(self) -> float:
        """Largest output voltage that the stages behind the arrays reach under the conditions (V).

        A technology whose stages reach more than the design may use overrides this.
        """
        return self.column_range

    def protocol(self, protocol: Protocol) -> Protocol:
        """Protocol by which a network with this one is watched on such a chip; a technology may have its own window."""
        return protocol

    def check_sections(self) -> None:
        """Refuse sections that do not fit each other; a subclass overrides this.

        Raises
        ------
        ValueError
            Naming the keys and their values.
        """

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        self.check_sections()
        return self

    @model_validator(mode="after")
    def _shared(self) -> Self:
        for name in ("", *self.LOTS):
            lot = getattr(self, name).lot_share if name else 0.0
            if lot + self.die.common > 1.0 + 1e-12:
                of_lots = f"{name}.lot_share ({lot:g}) + " if name else ""
                raise ValueError(
                    f"{of_lots}die.share ({self.die.share:g}) + die.gradient_share ({self.die.gradient_share:g}): "
                    "expected at most 1 in all"
                )
        return self

    @model_validator(mode="after")
    def _within_range(self) -> Self:
        if problems := self.device_problems():
            raise ValueError("; ".join(problems))
        return self

    @model_validator(mode="after")
    def _buyable(self) -> Self:
        if problems := list(self._class_problems()):
            raise ValueError(listed(problems))
        return self

    def _class_problems(self) -> Iterator[str]:
        for key, offered in self.classes.items():
            if key not in self.CLASSES:
                yield f"classes: {shown(key)} is not one of {', '.join(self.CLASSES)}"
                continue
            name, settable = self.CLASSES[key]
            section = getattr(self, name)
            for index, part in enumerate(offered):
                this = f"classes.{key} {part.name!r}"
                unknown = [f"{plain(field)} = {v:g}" for field, v in part.values.items() if field not in settable]
                if unknown:
                    yield f"{this}: {listed(unknown)}: a class sets only {', '.join(settable)}"
                    continue
                values = dict(section) | part.values
                try:
                    type(section).model_validate(values)
                except ValidationError as error:
                    yield explain(this, error, values)
                for other in offered[:index]:
                    if other.name == part.name:
                        yield f"{this}: the name is given twice"
                    elif other.values == part.values:
                        yield f"{this}: sets the same values as {other.name!r}"
                if part.values.keys() != offered[0].values.keys():
                    yield f"{this}: sets {', '.join(part.values)}, expected {', '.join(offered[0].values)} as the first"

    def device_problems(self) -> list[str]:
        """Sentences on what the array asks of its device preset beyond its known range; see `Device.problems`."""
        array = self.array
        if array.device is None:
            return []
        return array.device.problems(
            g_min=array.g_min,
            g_max=array.g_max,
            read_voltage=array.read_voltage,
            seconds=array.drift_time,
            temperature=self.conditions.temperature,
            programming=array.asks_device("programming_error"),
            read_noise=array.asks_device("read_noise"),
            drift=array.asks_device("drift_time"),
            levels=array.asks_device("levels"),
            temperature_coefficient=array.asks_device("temperature_coefficient"),
            nonlinearity=array.asks_device("nonlinearity"),
        )

    @classmethod
    def load(cls, name: str | Path) -> Self:
        """Read a technology by its name in `calibration/` or by the path of a YAML file.

        Raises
        ------
        InputError
            Unknown name, unreadable file, unknown cell or one whose technology is no subclass of this class, unknown
            key, wrong type or value out of range; the message names the file and the key.
        """
        path = find_yaml(name, "technology", resource("calibration"))
        return cls.from_values(read_yaml(path, "technology"), path, path.parent)

    @classmethod
    def from_values(cls, values: object, source: Path | str, folder: Path | None = None) -> Self:
        """Technology with the values that `model_dump` returns, or that a file holds; its class follows from `cell`.

        Parameters
        ----------
        values
            Values by their keys, section by section.
        source
            File or name with which messages begin.
        folder
            Folder that the path of a device preset is relative to; None: the working folder.

        Raises
        ------
        InputError
            Unknown cell or one whose technology is no subclass of this class, unknown or missing key, wrong type or
            value out of range; the message names the key.
        """
        cell = values.get("cell", _CELL) if isinstance(values, Mapping) else _CELL
        # What is no name is refused with all else that is wrong with the values.
        try:
            kind = technology_class(cell if isinstance(cell, str) else _CELL)
        except InputError as error:
            raise InputError(f"{source}: {error}") from None
        if not issubclass(kind, cls):
            fitting = [name for name in TECHNOLOGIES if issubclass(technology_class(name), cls)]
            raise InputError(f"{source}: cell {shown(cell)}: expected one of {', '.join(fitting)}")
        return kind._validated(values, source, folder)

    @classmethod
    def _validated(cls, values: object, source: Path | str, folder: Path | None = None) -> Self:
        try:
            return cls.model_validate(values, context={"folder": folder or Path()})
        except ValidationError as error:
            raise InputError(explain(source, error, values)) from None

    def unusual(self) -> list[of.Unusual]:
        """Numbers that are possible but unusual in practice, of the technology and of the classes that it offers."""
        numbers = list(of.unusual(self))
        for key, offered in self.classes.items():
            name, _ = self.CLASSES[key]
            for part in offered:
                changed = getattr(self, name).model_copy(update=part.values)
                numbers += [
                    one for one in of.unusual(changed, f"classes.{key} {part.name!r}: ") if one.field in part.values
                ]
        return numbers

    def under(
        self, *, temperature: float | None = None, supply: float | None = None, **others: float | str | None
    ) -> Self:
        """Copy under another ambient temperature (K) or other supplies (relative to nominal); None: as it is.

        Parameters
        ----------
        others
            Further conditions that this technology has, by the keys of its section `conditions`.

        Raises
        ------
        InputError
            If a value is out of range, or the technology has no such condition.
        """
        asked = {"temperature": temperature, "supply": supply, **others}
        present = dict(self.conditions)
        changes = {f"conditions.{k}": v for k, v in asked.items() if v is not None and v != present.get(k)}
        return self.with_values(changes) if changes else self

    def with_values(self, values: Mapping[str, object]) -> Self:
        """Copy with single values changed, checked like a file: ``{"resistor.tolerance": 0.02, "array.levels": 16}``.

        Raises
        ------
        InputError
            For a key that the technology does not have, or a value that it refuses; the message names them.
        """
        data = self.model_dump()
        for key, value in values.items():
            *path, last = key.split(".")
            section: object = data
            for name in path:
                section = section.get(name) if isinstance(section, dict) else None
            if not isinstance(section, dict):
                known = ", ".join(name for name, part in data.items() if isinstance(part, dict))
                raise InputError(f"technology {self.name!r} has no key {shown(key)}; sections: {known}")
            if last not in section:
                raise InputError(f"technology {self.name!r} has no key {shown(key)}; there are {', '.join(section)}")
            section[last] = value
        source = f"technology {self.name!r}"
        if data["cell"] != self.cell:
            return self.from_values(data, source)
        return self._validated(data, source)

    def with_classes(self, chosen: Mapping[str, str]) -> Self:
        """Copy built with other parts.

        Parameters
        ----------
        chosen
            Name of the chosen class for each key of `classes` that changes.

        Raises
        ------
        InputError
            For a key or a name that `classes` does not have.
        """
        values: dict[str, object] = {}
        for key, name in chosen.items():
            if key not in self.classes:
                known = ", ".join(self.classes) or "none"
                raise InputError(f"technology {self.name!r}: no classes of {key!r}; there are those of: {known}")
            offered = {part.name: part.values for part in self.classes[key]}
            if name not in offered:
                known = ", ".join(map(repr, offered))
                raise InputError(f"technology {self.name!r}: {key} {name!r}: not one of {known}")
            values |= {f"{self.CLASSES[key][0]}.{field}": value for field, value in offered[name].items()}
        return self.with_values(values)

    def bought(self, key: str) -> PartClass | None:
        """Class of a key of `classes` whose values the technology has now; None: no class has them."""
        for part in self.classes.get(key, ()):
            section = getattr(self, self.CLASSES[key][0])
            if all(getattr(section, field) == value for field, value in part.values.items()):
                return part
        return None

    def with_errors(self, groups: Iterable[str]) -> Self:
        """Copy with only the named error groups (those of `ERRORS` and `SHORT`); all else is exact.

        Each component has its own random stream, so a part that stays spread keeps its value on every chip.

        Raises
        ------
        InputError
            If this technology has no such group; the message lists those that it has.
        """
        spread = set()  # single groups, short names resolved
        for group in groups:
            if group not in self.ERRORS and group not in self.SHORT:
                raise InputError(f"error group {group!r}: expected some of {', '.join((*self.ERRORS, *self.SHORT))}")
            spread |= set(self.SHORT.get(group, (group,)))
        changes: dict[str, dict[str, object]] = {}
        for group in self.ERRORS.keys() - spread:
            for section, values in self.ERRORS[group].items():
                changes.setdefault(section, {}).update(values)
        whole = changes.pop("", {})
        exact = {section: getattr(self, section).model_copy(update=values) for section, values in changes.items()}
        return self.model_copy(update=exact | whole)

    def save(self, path: str | Path) -> None:
        """Write the technology as YAML; `load` gives an equal one."""
        write_text(path, yaml_text(self.model_dump()))


def technology_class(cell: str) -> type[Technology]:
    """Class of the technology of a cell, by the cell's name.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    kind: type[Technology] = named_class(TECHNOLOGIES, cell, "cell", "technology")
    check_subclass(kind, Technology, "technology", cell)
    return kind
