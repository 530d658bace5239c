"""JSON in a user's file, read within limits."""

from __future__ import annotations

import json
from typing import Any

from analog_fhn.errors import InputError, shown

_LONGEST = 2**24
_DEEPEST = 64
_DIGITS = 40


def read_json(text: str | bytes, where: str) -> Any:
    """Content of a JSON text.

    Numbers beyond those of double precision, text that is no Unicode, and what is long or deep beyond use are refused.

    Parameters
    ----------
    where
        File and key of the text, for the messages.

    Raises
    ------
    InputError
        If it is no JSON, or more than 16 MiB, 64 levels or 40 digits of a whole number.
    """
    if len(text) > _LONGEST:
        raise InputError(f"{where}: JSON of {len(text) / 2**20:.0f} MiB; expected at most {_LONGEST / 2**20:.0f} MiB")
    try:
        if isinstance(text, bytes):
            text = text.decode()
        content = json.loads(text, parse_int=_whole, parse_float=_real)
        _check(content, _DEEPEST)
    except RecursionError:
        raise InputError(f"{where}: JSON nested deeper than {_DEEPEST} levels") from None
    except ValueError as error:
        raise InputError(f"{where}: cannot be read as JSON ({error})") from None
    return content


def read_object(text: str | bytes, where: str) -> dict[str, Any]:
    """Names and values of a JSON text, as `read_json`; a text that holds anything else is an InputError too."""
    content = read_json(text, where)
    if not isinstance(content, dict):
        raise InputError(f"{where}: holds no names and values; expected a JSON object {{...}}")
    return content


def typed(value: Any, kind: type, name: str, expected: str) -> Any:
    """The value, if it has exactly this type; True is no number, and 1 no truth value.

    Raises
    ------
    InputError
        If it has another, naming it.
    """
    if type(value) is not kind:
        raise InputError(f"{name} is {shown(value)}: expected {expected}")
    return value


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError(f"a whole number of {len(digits)} digits; expected at most {_DIGITS}")
    return int(digits)


def _real(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError("a number beyond the range of double precision")
    return number


def _check(content: Any, levels: int) -> None:
    if isinstance(content, str):
        content.encode()  # a lone surrogate is no character: nothing can print or save it
    elif isinstance(content, dict | list):
        if not levels:
            raise RecursionError
        if isinstance(content, dict):
            for key in content:
                key.encode()
        for part in content.values() if isinstance(content, dict) else content:
            _check(part, levels - 1)
