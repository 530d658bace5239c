"""Option groups: options that belong together are the fields of a frozen dataclass, one parameter of the command.

::

    @dataclass(frozen=True)
    class Times:
        settle: parameters.SettleOption = None
        control: parameters.ControlOption = None

    @takes_option_groups
    def classify(network: parameters.NetworkArgument, *, times: Times, json: parameters.JsonOption = None) -> None: ...

`analog-fhn classify` then has the options `--settle` and `--control`, and the function receives one `Times`. What the
options are good for (a network with these times, say) is a method of the group. A field may be a group again.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from inspect import Parameter
from typing import Any

from typer.models import OptionInfo


def takes_option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Command with a parameter for each field of its option groups, as Typer reads it.

    Parameters
    ----------
    command
        Function of a command. A parameter whose annotation is a dataclass is an option group; the options of a group
        stand in its place in the order of the help. Every other parameter stays as it is.

    Raises
    ------
    ValueError
        If two parameters have one name, or a group's default is anything but a plain value.
    """
    signature, annotations = inspect.signature(command), typing.get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {}
    parameters: list[Parameter] = []
    for name, parameter in signature.parameters.items():
        if dataclasses.is_dataclass(annotations[name]):
            groups[name] = annotations[name]
            parameters += _parameters_of(annotations[name])
        else:
            parameters.append(parameter.replace(kind=Parameter.KEYWORD_ONLY, annotation=annotations[name]))
    names = [parameter.name for parameter in parameters]
    if len(set(names)) < len(names):
        raise ValueError(f"{command.__name__}: several parameters have one name, in {', '.join(names)}")

    @functools.wraps(command)
    def expanded(**values: Any) -> None:
        built = {name: _built(group, values) for name, group in groups.items()}
        command(**values, **built)

    expanded.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    expanded.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return expanded


def options_set(group: Any) -> dict[str, Any]:
    """Values of the options of a group that the user has set to anything but their defaults, by option: `--settle`."""
    values: dict[str, Any] = {}
    for field, annotation in _fields(type(group)):
        value = getattr(group, field.name)
        if dataclasses.is_dataclass(annotation):
            values |= options_set(value)
        elif value != field.default:
            values[_option_name(annotation)] = value
    return values


def as_written(option: str, value: Any) -> str:
    """An option of `options_set` and its value, or the first of several, as they are written."""
    return option if value is True else f"{option} {value[0] if isinstance(value, list) else value}"


def values_of(group: Any) -> dict[str, Any]:
    """Value of every option of a group and of the groups in it, by the name of its field."""
    values: dict[str, Any] = {}
    for field, annotation in _fields(type(group)):
        value = getattr(group, field.name)
        values |= values_of(value) if dataclasses.is_dataclass(annotation) else {field.name: value}
    return values


def values_set(group: Any, *names: str) -> dict[str, Any]:
    """Values of those of the named fields of a group that are not None, by name: keyword arguments for a function."""
    return {name: getattr(group, name) for name in names if getattr(group, name) is not None}


def _fields(group: Any) -> list[tuple[dataclasses.Field[Any], Any]]:
    """Fields of a dataclass with their annotations as objects."""
    annotations = typing.get_type_hints(group, include_extras=True)
    return [(field, annotations[field.name]) for field in dataclasses.fields(group)]


def _parameters_of(group: Any) -> list[Parameter]:
    parameters: list[Parameter] = []
    for field, annotation in _fields(group):
        if dataclasses.is_dataclass(annotation):
            parameters += _parameters_of(annotation)
            continue
        if field.default_factory is not dataclasses.MISSING:
            raise ValueError(f"{group.__name__}.{field.name}: the default of an option is a plain value, not a factory")
        default = Parameter.empty if field.default is dataclasses.MISSING else field.default
        parameters.append(Parameter(field.name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation))
    return parameters


def _built(group: Any, values: dict[str, Any]) -> Any:
    """A group from `values` by name, which are taken out of it; fields that have none there keep their defaults."""
    fields: dict[str, Any] = {}
    for field, annotation in _fields(group):
        if dataclasses.is_dataclass(annotation):
            fields[field.name] = _built(annotation, values)
        elif field.name in values:
            fields[field.name] = values.pop(field.name)
    return group(**fields)


def _option_name(annotation: Any) -> str:
    """Longest name of an option: `--output` of `-o`, `--output`."""
    for metadata in annotation.__metadata__:
        if isinstance(metadata, OptionInfo):  # Typer takes the first name of an annotation for a default
            return max((str(metadata.default), *(metadata.param_decls or ())), key=len)
    raise ValueError(f"{annotation}: no option of Typer")
