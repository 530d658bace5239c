"""Plug-in points: what tables name by module and attribute, and what installed packages add to them.

A package adds to a point by an entry point of the group ``analog_fhn.<point>``: `cell`, `technology`, `backend`,
`reader` (of trained weights) or `recording`. It is imported when it is asked for, and our own names go first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from analog_fhn.errors import InputError, shown


def named_class(table: Mapping[str, tuple[str, str]], name: str, what: str, point: str = "") -> Any:
    """The class that `table` gives module and attribute of, or that an installed package adds to the plug-in point.

    Parameters
    ----------
    what
        Kind of the name, for the message: "cell".
    point
        Plug-in point; empty: installed packages add nothing.

    Raises
    ------
    InputError
        If there is no such name, or the package's class does not load.
    """
    if name in table:
        module, attribute = table[name]
        return getattr(import_module(module), attribute)
    found = plugin(point, name) if point else None
    if found is None:
        raise InputError(f"{what} {shown(name)}: expected one of {', '.join([*table, *plugins(point)])}")
    return found


def plugins(point: str) -> list[str]:
    """Names that installed packages add to a plug-in point."""
    return sorted({entry.name for entry in entry_points(group=f"analog_fhn.{point}")}) if point else []


def plugin(point: str, name: str) -> Any:
    """What an installed package adds to a plug-in point under a name; None: nothing.

    Raises
    ------
    InputError
        If several packages add something of that name, or it does not load.
    """
    found: dict[str, EntryPoint] = {
        entry.value: entry for entry in entry_points(group=f"analog_fhn.{point}", name=name)
    }
    if not found:
        return None
    if len(found) > 1:
        raise InputError(f"{point} {shown(name)}: several installed packages have one ({', '.join(sorted(found))})")
    (entry,) = found.values()
    try:
        return entry.load()
    except Exception as error:  # whatever the import of somebody's module raises
        package = entry.dist.name if entry.dist else "a package"
        raise InputError(
            f"{point} {shown(name)}: {entry.value} of {package} does not load: {type(error).__name__}: {error}"
        ) from error


def check_subclass(found: Any, base: type, point: str, name: str) -> None:
    """Refuse (InputError) what is added to a plug-in point and is no subclass of its base."""
    if not (isinstance(found, type) and issubclass(found, base)):
        raise InputError(f"{point} {shown(name)}: {shown(found)} is no subclass of {base.__name__}")


def reader_of_ending(point: str, path: Path, own: Collection[str] = ()) -> Callable[[Path], Any] | None:
    """What an installed package adds to read files that end as this one; None: nothing.

    Parameters
    ----------
    own
        Endings with their dots that are read here: nothing takes their place.

    Raises
    ------
    InputError
        As for `plugin`, or if what is added cannot be called.
    """
    name = path.name.lower()
    for ending in sorted(plugins(point), key=len, reverse=True):
        if name.endswith(f".{ending.lower()}") and f".{ending.lower()}" not in own:
            reader = plugin(point, ending)
            if not callable(reader):
                raise InputError(f"{point} {shown(ending)}: {shown(reader)} is no function; expected one of a path")
            return reader  # type: ignore[no-any-return]
    return None
