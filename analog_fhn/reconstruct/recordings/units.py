"""What the name of a column says: its unit, in the styles that are in use, and whether it is a time or a voltage."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

ColumnKind = Literal["time", "voltage", "other"]

NOTHING_TELLS = 3
"""Rank of a column whose name tells nothing; see `Column.unlike_voltage`."""

_PREFIXES = {
    **dict.fromkeys(("m", "milli"), 1e-3), **dict.fromkeys(("u", "µ", "μ", "âµ", "micro"), 1e-6),
    **dict.fromkeys(("n", "nano"), 1e-9), **dict.fromkeys(("p", "pico"), 1e-12), "": 1.0,
}  # fmt: skip
_SECONDS, _VOLTS = ("s", "sec", "secs", "second", "seconds"), ("v", "volt", "volts")
_CURRENTS = ("a", "amp", "amps", "ampere", "amperes")
# In lower case; "âµ" is a µ of UTF-8 that was read as Latin-1.
_UNITS: dict[str, tuple[ColumnKind, float]] = {
    **{p + unit: ("time", factor) for p, factor in _PREFIXES.items() for unit in _SECONDS},
    **{p + unit: ("voltage", factor) for p, factor in _PREFIXES.items() for unit in _VOLTS},
    **dict.fromkeys(("kv", "kilovolt", "kilovolts"), ("voltage", 1e3)),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), ("time", 60.0)),
    **dict.fromkeys(("h", "hour", "hours"), ("time", 3600.0)),
    **{p + unit: ("other", 1.0) for p in ("", "f", "k", *_PREFIXES) for unit in (*_CURRENTS, "w", "watt", "ohm", "ω")},
    **dict.fromkeys(("hz", "khz", "mhz", "ghz", "db", "pa", "kpa", "mmhg", "k", "°c", "degc", "deg c", "celsius", "°f"),
                    ("other", 1.0)),
    **dict.fromkeys(("sequence", "unknown"), ("other", 1.0)),
}  # fmt: skip
_AMPERES = re.compile(r"(?P<prefix>|[fpnuµμm]|femto|pico|nano|micro|milli)(A|[Aa]mp(ere)?s?)")
_SIEMENS = re.compile(r"[mun\u00b5\u03bcp]S")
_NOT_IN_NAMES = ("h", "min")  # there they are a gate's variable, and a minimum
_COUNTS = ("nr", "no", "no.", "#", "index", "idx", "sample", "samples", "point", "points", "unnamed: 0")
_TIMES = (
    "time", "times", "t", "timestamp", "time stamp", "time axis", "elapsed time", "relative time", "zeit", "temps",
)  # fmt: skip
_ABSCISSAE = ("x", "x-axis", "x axis", "x_value", "x value", "x_values", "x values")
_VOLTAGES = re.compile(
    r"(volt|volts|v|v_?m|v_?mem|u|u_?m|e_?m|membrane|(.*[ _-])?(membrane)?(potential|voltage|spannung))[ _#-]*\d*"
)
_NODE = re.compile(r"[VIvi][(\[](?!x?[\d.,]+\w*V[)\]])\S*")  # V(out) is a simulator's name, V (mV) and V(10mV) are none
_CHANNELS = re.compile(
    r"(.*/)?(ch|chan|channel|kanal|c|trace|signal|input|in|ai|ain|adc|untitled|ampl|amplitude|y|y-axis|y_value|probe)"
    r"[ _#.-]*(\d+|[a-h])?(\(\d+\))?v?"
)
_OTHERS = re.compile(
    r"(?<![a-z])(i|im|current|strom|iinj|inj|injected|command|cmd|vcmd|holding|stim|stimulus|temp|temperature|trigger|trig|ttl|sync|"
    r"digital|marker|event|gate|min|max|mean|std|sd|sem|err|error|state)(?![a-z])"
)
_CURRENT_NODE = re.compile(r"i[(\[]", re.IGNORECASE)
_BRACKETS = re.compile(r"(?P<name>.*?)\s*[(\[{<]\s*(?P<unit>[^()\[\]{}<>]*?)\s*[)\]}>]")
_BETWEEN = (
    re.compile(r"(?P<name>.*?)\s*\bin\s+(?P<unit>\S+)"),
    re.compile(r"(?P<name>[^/]*?)\s*/\s*(?P<unit>[^/]+)"),
    re.compile(r"(?P<name>[^,;:]*?)\s*[,;:]\s*(?P<unit>[^\s,;:].*)"),
)
_JOINED = re.compile(r"(?P<name>.*?)[\s_.-]+(?P<unit>[^\s_.-]+)\.?")
_WORD = re.compile(r"[^\W\d]{2,}|[%°]")
_SCALED = re.compile(r"(?P<name>.*?)[\s_.-]+(?P<factor>[x×*]?\d+([.,]\d+)?)[\s_.-]+(?P<unit>[^\s_.-]+)\.?")  # 10 mV
_LETTERS = re.compile(r"[^\W\d_]|[%°]")


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Parameters
    ----------
    number
        Number of the column, from 1.
    name
        Name as in the file; empty if it has none.
    kind, factor
        ColumnKind that the unit in the file measures, and the factor that turns its numbers into s or V; without a unit
        "other" and 1.
    unit
        The unit in the file; empty if there is none.
    bare
        The name in lower case, without the unit.
    unit_unknown
        Whether the name ends with a text in the place of a unit that is none, nor a number or a simulator's node.
    """

    number: int
    name: str = ""
    kind: ColumnKind = "other"
    factor: float = 1.0
    unit: str = ""
    bare: str = ""
    unit_unknown: bool = False

    def __str__(self) -> str:
        return f"{self.number} {self.name[:60]!r}" if self.name else str(self.number)

    @property
    def is_time(self) -> bool:
        """Whether its name or its unit is that of a time."""
        return self.kind == "time" or (not self.unit and not self.unit_unknown and self.bare in (*_TIMES, *_ABSCISSAE))

    @property
    def unlike_time(self) -> int:
        """Rank among columns that may be times, 0 for one that is named so."""
        return 0 if self.bare in _TIMES else 1 if self.kind == "time" else 2

    @property
    def unlike_voltage(self) -> int | None:
        """Rank among columns that may be voltages; None for one that is none, as far as name and unit tell.

        0 and 1: by the name and by the unit; 2: a channel of an instrument; 3: nothing tells; 4: its unit is unknown.
        """
        node, other = _NODE.fullmatch(self.name), _OTHERS.search(self.bare) is not None
        named = not other and (node is not None or _VOLTAGES.fullmatch(self.bare) is not None)
        if self.kind == "voltage":
            return 0 if named else 2 if other else 1
        if self.unit or other or _CURRENT_NODE.fullmatch(self.name):
            return None
        if self.unit_unknown:
            return 4
        if named:
            return 0 if self.bare == "voltage" else 1
        return 2 if _CHANNELS.fullmatch(self.bare) else NOTHING_TELLS

    @property
    def stem(self) -> str:
        """Name without numbers and letters that tell channels apart."""
        return re.sub(r"[\W_]*(\d+|[a-h])?(\(.*\))?$", "", self.bare)


def column_of(number: int, name: str, unit: str = "") -> Column:
    """Column of a name and, where the file has a line of units, a unit.

    Styles of a unit in the name: ``t (ms)``, ``t [ms]``, ``t in ms``, ``t/ms``, ``t, ms``, ``t_ms``, ``t.ms``,
    ``t ms``; or the unit alone.
    """
    name = name.strip()
    bare, text, unknown = name, unit_text(unit, name), bool(_LETTERS.match(unit)) and not unit_text(unit, name)
    if not text and not unknown:
        bare, text, unknown = _parted(name)
    kind, factor = _UNITS[text.lower()] if text else ("other", 1.0)
    if text and _SIEMENS.fullmatch(text) and not _is_time_name(bare):
        kind, factor = "other", 1.0
    return Column(number, name, kind, factor, text, bare.strip().lower(), unknown)


def unit_text(text: str, name: str = "") -> str:
    """Text as a unit that is known, of a column of this name; empty if it is none.

    Capitals do not matter, but for a capital M before s or V: mega, unless all letters are capitals.
    """
    text = text.strip("()[]{}<> ").rstrip(".")
    if text.lower() not in _UNITS:
        return ""
    mega = re.fullmatch(r"M(?i:s|sec|v|volts?)", text) is not None
    return "" if mega and (name + text).upper() != name + text else text


def time_factor(text: str) -> float | None:
    """Seconds of a unit of time; None if the text is none."""
    kind, factor = _UNITS.get(text.strip("()[]{}<> ").rstrip(".").lower(), ("other", 1.0))
    return factor if kind == "time" else None


def volt_factor(text: str) -> float | None:
    """Volts of a unit of voltage; None if the text is none."""
    kind, factor = _UNITS.get(unit_text(text).lower(), ("other", 1.0))
    return factor if kind == "voltage" else None


def ampere_factor(text: str) -> float | None:
    """Amperes of a unit of current; None if the text is none. Capitals matter: Pa is a pressure, and MA is no mA."""
    match = _AMPERES.fullmatch(text.strip("()[]{}<> ").rstrip("."))
    return {"f": 1e-15, "femto": 1e-15, **_PREFIXES}[match["prefix"]] if match else None


def unit_in_brackets(text: str) -> str:
    """Text in brackets at the end, or behind "in"; empty if there is none."""
    match = _BRACKETS.fullmatch(text) or _BETWEEN[0].fullmatch(text)
    return match["unit"] if match else ""


def _parted(name: str) -> tuple[str, str, bool]:
    """Name without its unit, the unit, and whether there is one that is not known."""
    match = _BRACKETS.fullmatch(name)
    if match is not None:
        text = unit_text(match["unit"], match["name"])
        # V(s) is a voltage of a simulator, of a node called s.
        if _NODE.fullmatch(name) and _UNITS.get(text.lower(), ("", 0))[0] != "voltage":
            return name, "", False
        unknown = not text and _LETTERS.search(match["unit"]) is not None
        return (match["name"] if text or unknown else name), text, unknown
    for style in _BETWEEN:
        match = style.fullmatch(name)
        if match is not None and (text := unit_text(match["unit"], match["name"])):
            return match["name"], text, False
        if match is not None and _tells(match["name"]):
            return match["name"], "", _LETTERS.search(match["unit"]) is not None
    scaled = _SCALED.fullmatch(name)
    if scaled is not None and unit_text(scaled["unit"]) and not _numbers_a_channel(scaled["name"], scaled["factor"]):
        return scaled["name"], "", True
    match = _JOINED.fullmatch(name)
    if match is not None and (text := _joined_unit(match["name"], match["unit"])):
        return match["name"], text, False
    if match is not None and _tells(match["name"]) and not _tells(name) and _may_be_unit(match["unit"]):
        return match["name"], "", True
    if name.lower() in _COUNTS:
        return name, "sequence", False
    # "Second,Volt" alone, as names; but S is a neuron's slow variable, and V a voltage as U is.
    text = "" if name in ("S", "V", "v") or name.lower() in _NOT_IN_NAMES else unit_text(name)
    if text and (_UNITS[text.lower()][0] == "other" and text not in ("A", "sequence", "Unknown", "unknown")):
        text = ""
    return name, text, False


def _joined_unit(name: str, unit: str) -> str:
    """Unit behind a name without brackets: letters that may mean something else only behind a name that fits."""
    text = unit_text(unit, name)
    kind = _UNITS[text.lower()][0] if text else "other"
    if not text or (kind == "other" and text.lower().lstrip("fpnumµμk") not in _CURRENTS):
        return ""
    if _is_time_name(name):
        return text if kind == "time" else ""
    if text.lower() in _NOT_IN_NAMES:
        return ""
    plain = len(text) > 1 or (kind == "voltage" and _tells(name))
    return text if plain or _OTHERS.search(name.lower()) else ""


def _numbers_a_channel(name: str, factor: str) -> bool:
    """Whether a number behind a name is a channel's, as in `Channel 1 mV`, and none that a unit is multiplied by."""
    return factor.isdecimal() and not re.search(r"\d", name) and _CHANNELS.fullmatch(name.lower()) is not None


def _may_be_unit(text: str) -> bool:
    word = text.lower()
    return _WORD.fullmatch(text) is not None and word not in _NOT_IN_NAMES and _OTHERS.fullmatch(word) is None


def _is_time_name(name: str) -> bool:
    return name.strip().lower() in ("", *_TIMES, *_ABSCISSAE)


def _tells(name: str) -> bool:
    """Whether a name alone is that of a time, a voltage or a channel."""
    bare = name.strip().lower()
    return bare in (*_TIMES, *_ABSCISSAE) or any(p.fullmatch(bare) for p in (_VOLTAGES, _CHANNELS))
