"""What the shell completes: names of technologies and data sets; where none fits, files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

# None of these imports Numba, for which a key press must not wait.
from analog_fhn._support.plugins import plugins
from analog_fhn._support.resources import resource
from analog_fhn.backends import BACKENDS


def technologies(incomplete: str) -> list[str]:
    """Technologies that come with the package, and YAML files here."""
    names = sorted(path.stem for path in resource("calibration").glob("*.yaml"))
    return _matching(incomplete, names, (".yaml", ".yml"))


def datasets(incomplete: str) -> list[str]:
    """Data sets that have a name, and files of one's own here."""
    return _matching(incomplete, ["mnist", "digits"], (".npz", ".csv"))


def backend_names() -> list[str]:
    """What `--backend` of `classify` takes: backends of the package, twins, and what other packages add."""
    return [*BACKENDS, "twin", *plugins("backend")]


def backends(incomplete: str) -> list[str]:
    """Backends whose names begin so."""
    return _matching(incomplete, backend_names(), ())


def files() -> list[str]:
    """Nothing, for which shells complete files."""
    return []


COMPLETIONS: dict[str, Callable[..., list[str]]] = {
    "--technology": technologies, "--dataset": datasets, "--backend": backends,
}  # fmt: skip
"""What completes the value of an option, by its name."""


def _matching(incomplete: str, names: Iterable[str], endings: tuple[str, ...]) -> list[str]:
    here = sorted(path.name for path in Path().glob("*") if path.suffix in endings)
    return [name for name in (*names, *here) if name.startswith(incomplete)]
