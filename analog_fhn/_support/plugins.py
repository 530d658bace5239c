"""Classes that tables name by module and attribute: a plug-in point imports one when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from analog_fhn.errors import InputError, shown


def named_class(table: Mapping[str, tuple[str, str]], name: str, what: str) -> Any:
    """The class that `table` gives module and attribute of.

    Parameters
    ----------
    what
        Kind of the name, for the message: "cell".

    Raises
    ------
    InputError
        If the table has no such name.
    """
    if name not in table:
        raise InputError(f"{what} {shown(name)}: expected one of {', '.join(table)}")
    module, attribute = table[name]
    return getattr(import_module(module), attribute)
