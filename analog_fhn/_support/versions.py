"""Versions of the package and of what computes in it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from analog_fhn import __version__

_COMPUTING = ("numpy", "scipy", "numba", "brian2", "PySpice", "keras", "jax")


def versions() -> dict[str, str]:
    """Version by package; one that is not installed is left out."""
    installed = {"analog-fhn": __version__}
    for name in _COMPUTING:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    return installed
