"""What all commands have: `--quiet`, and values that the shell completes."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.models import ArgumentInfo, OptionInfo

from analog_fhn.cli import console
from analog_fhn.cli.completion import COMPLETIONS, files

QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress and no remarks; results, warnings and errors stay.")
]


def as_command(function: Callable[..., None]) -> Callable[..., None]:
    """A command's function as Typer is to read it: with `--quiet`, and completion of the values of its options."""
    annotations = typing.get_type_hints(function, include_extras=True)
    parameters = [
        parameter.replace(kind=Parameter.KEYWORD_ONLY, annotation=_completed(annotations[parameter.name]))
        for parameter in inspect.signature(function).parameters.values()
    ]
    quiet_option = Parameter("quiet", Parameter.KEYWORD_ONLY, default=False, annotation=QuietOption)

    @functools.wraps(function)
    def command(*, quiet: bool, **values: Any) -> None:
        if quiet:
            console.be_quiet(True)
        function(**values)

    command.__signature__ = inspect.Signature([*parameters, quiet_option])  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in [*parameters, quiet_option]}
    return command


def _completed(annotation: Any) -> Any:
    """The annotation of a parameter, which says what completes its value."""
    for info in getattr(annotation, "__metadata__", ()):
        if isinstance(info, OptionInfo):
            names = (str(info.default), *(info.param_decls or ()))  # Typer takes the first name for a default
            info.autocompletion = next((COMPLETIONS[name] for name in names if name in COMPLETIONS), None)
        if isinstance(info, OptionInfo | ArgumentInfo) and info.autocompletion is None and _is_path(annotation):
            info.autocompletion = files  # Typer would complete a path to itself
    return annotation


def _is_path(annotation: Any) -> bool:
    return annotation is Path or any(map(_is_path, typing.get_args(annotation)))
