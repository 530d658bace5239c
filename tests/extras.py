"""The package of examples/extend, as if it were installed."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

EXTEND = Path(__file__).parents[1] / "examples" / "extend"


def metadata(folder: Path, **points: dict[str, str]) -> None:
    """Write what an installer leaves of a package with these entry points, by plug-in point."""
    info = folder / "fhn_extras-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fhn-extras\nVersion: 1.0\n")
    lines = [
        line
        for point, names in points.items()
        for line in (f"[analog_fhn.{point}]", *(f"{name} = {value}" for name, value in names.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def install(monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[Path]:
    """Put the package and its metadata on the path, for worker processes too; the folders of the path."""
    declared = tomllib.loads((EXTEND / "pyproject.toml").read_text())["project"]["entry-points"]
    metadata(folder, **{group.removeprefix("analog_fhn."): names for group, names in declared.items()})
    for one in (folder, EXTEND):
        monkeypatch.syspath_prepend(one)
    return [folder, EXTEND]
