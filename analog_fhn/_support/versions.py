"""Versions of the package and of what computes in it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

_COMPUTING = ("analog-fhn", "numpy", "scipy", "numba", "brian2", "PySpice", "keras", "jax")


def versions() -> dict[str, str]:
    """Version by package; one that is not installed is left out."""
    installed = {}
    for name in _COMPUTING:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    return installed
