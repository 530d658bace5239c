"""Typed, frozen configuration files: sections, and messages that name file, key, value and what was expected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from analog_fhn.errors import InputError, shown

_ONE_LINE = r"^[^\n\r\t]*$"
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=_ONE_LINE)]
Place = Annotated[str, Field(min_length=1, max_length=4000, pattern=_ONE_LINE)]
Words = Annotated[str, Field(max_length=10_000)]

MOST_PROBLEMS = 5  # of one file that are said; the others are counted


class Section(BaseModel):
    """One section of a file: unknown keys and wrong types are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def defaults(model: type[Section]) -> dict[str, Any]:
    """Default of each key that a section may lack, as plain values."""
    values = {
        name: field.get_default(call_default_factory=True)
        for name, field in model.model_fields.items()
        if not field.is_required()
    }
    return {name: value.model_dump() if isinstance(value, BaseModel) else value for name, value in values.items()}


def find_yaml(name: str | Path, what: str, folder: Path) -> Path:
    """Path of a YAML file that the user names: by its path, or by its name in a folder.

    Raises
    ------
    InputError
        For a name that is not there; the message lists those that are.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return path
    known = sorted(p.stem for p in folder.glob("*.yaml"))
    if str(name) not in known:
        raise InputError(f"{what} {shown(str(name))}: not one of {', '.join(known)}, and no path of a .yaml file")
    return folder / f"{name}.yaml"


def listed(problems: Iterable[str]) -> str:
    """The first problems in one line, and how many more there are."""
    every = list(dict.fromkeys(problems))
    more = f"; and {len(every) - MOST_PROBLEMS} more" if len(every) > MOST_PROBLEMS else ""
    return "; ".join(every[:MOST_PROBLEMS]) + more


def explain(source: Path | str, error: ValidationError, data: object) -> str:
    """One message for what is wrong with a configuration file: file, key, value, expectation.

    Parameters
    ----------
    source
        File or name with which the message begins.
    error
        Errors of the validation.
    data
        Values that were validated: they tell the keys of the file from the names of the types that were tried.
    """
    # Where a value may be of several types, there is an error for each that was tried.
    expectations: dict[str, list[str]] = {}
    values: dict[str, Any] = {}
    problems: dict[str, list[str]] = {}
    for item in error.errors(include_url=False):
        key = _key(item["loc"], data)
        sentence, expected = _said(item, key)
        if expected:
            expectations.setdefault(key, []).append(expected)
            values[key] = item["input"]
        problems.setdefault(key, [])
        if sentence:
            problems[key].append(sentence)
    # What is wrong with the number, or in the list, says more than the other types that the value might have had.
    inside = {place for other in problems for place in accumulate(other.split("."), "{}.{}".format) if place != other}
    for key, kinds in expectations.items():
        if not problems[key] and key not in inside:
            problems[key].append(_of_value(key, values[key], f"expected {' or '.join(dict.fromkeys(kinds))}"))
    return f"{source}: {listed(sentence for sentences in problems.values() for sentence in sentences)}"


def _key(location: tuple[int | str, ...], data: object) -> str:
    """Key in the file, from a place that names the types that were tried too."""
    parts: list[str] = []
    place: Any = data
    for part in location:
        inside = (
            place.keys() if isinstance(place, Mapping) else range(len(place)) if isinstance(place, list | tuple) else ()
        )
        if part in inside:
            place = place[part]
            parts.append(str(part))
    return ".".join(parts)


def plain(text: str) -> str:
    """Text as `shown` has it, without its quotes."""
    return shown(text)[1:-1]


def _said(item: ErrorDetails, key: str) -> tuple[str, str]:
    """A sentence about one error, or else what was expected of the value."""
    kind, context, value = item["type"], item.get("ctx", {}), item["input"]
    match kind:
        case "extra_forbidden" | "unexpected_keyword_argument":
            return f"unknown key '{key}'", ""
        case "missing":
            missing = plain(str(item["loc"][-1]))
            return f"key '{f'{key}.{missing}' if key else missing}' is missing", ""
        case "union_tag_not_found":
            return f"key '{key}.kind' is missing", ""
        case "union_tag_invalid":
            return f"{key}.kind = {shown(context['tag'])}: expected {context['expected_tags']}", ""
        case "value_error":
            sentence = str(context["error"])  # that of a section names its keys and values
            return sentence if isinstance(value, dict | BaseModel) else _of_value(key, value, sentence), ""
        case "quantity":
            return _of_value(key, value, str(context["expected"])), ""
    return "", _EXPECTED.get(kind, "something else").format(**context)


def _of_value(key: str, value: object, sentence: str) -> str:
    """Sentence on the value of a key, which are named before it."""
    if not key:
        return sentence
    # A section's values would hide what is said of them.
    return (
        f"{key or 'file'}: {sentence}" if isinstance(value, dict | BaseModel) else f"{key} = {shown(value)}: {sentence}"
    )


# What is expected, by pydantic's name of the error.
_EXPECTED = {
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "bool_type": "true or false",
    "string_type": "text",
    "string_unicode": "text",
    "string_too_short": "text of {min_length} characters or more",
    "string_too_long": "text of at most {max_length} characters",
    "string_pattern_mismatch": "text on one line",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "'key: value' lines",
    "model_type": "'key: value' lines",
    "dataclass_type": "'key: value' lines",
    "model_attributes_type": "'key: value' lines",
    "none_required": "null",
    "literal_error": "{expected}",
    "too_short": "{min_length} entries or more",
    "too_long": "{max_length} entries or fewer",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "a number below {lt}",
    "less_than_equal": "at most {le}",
}
