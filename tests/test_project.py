"""What a project has beside its code: one version, licences of what is shipped, documented public names."""

from __future__ import annotations

import inspect
import re
import subprocess
import tomllib
import typing
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

import analog_fhn

CHECKOUT = Path(__file__).resolve().parent.parent
LICENCES = CHECKOUT / "LICENSES"


def test_one_version_everywhere() -> None:
    citation = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text())
    version, date = re.findall(r"^## (\d\S*) \((\d{4}-\d\d-\d\d)\)$", (CHECKOUT / "CHANGELOG.md").read_text(), re.M)[0]
    assert citation["version"] == version == analog_fhn.__version__
    assert str(citation["date-released"]) == date
    assert "version" in tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["dynamic"]


@pytest.fixture(scope="module")
def shipped() -> list[str]:
    if not (CHECKOUT / ".git").exists():
        pytest.skip("what is shipped is what git has")
    listed = subprocess.run(["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


def licence_of(name: str) -> str:
    """Licence that REUSE.toml states for a file: the last entry that names it."""
    entries = tomllib.loads((CHECKOUT / "REUSE.toml").read_text())["annotations"]
    return [entry["SPDX-License-Identifier"] for entry in entries if fnmatch(name, entry["path"])][-1]


def test_the_text_of_every_licence_is_there_and_used(shipped: list[str]) -> None:
    used = {licence_of(name) for name in shipped}
    assert {f"{name}.txt" for name in used} == {path.name for path in LICENCES.iterdir()}
    assert (LICENCES / "GPL-3.0-or-later.txt").read_bytes() == (CHECKOUT / "LICENSE").read_bytes()
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert project["license"] == licence_of("analog_fhn/__init__.py")


def test_files_of_others_are_stated_one_by_one(shipped: list[str]) -> None:
    # Fonts, archives, pictures of formats that nobody here draws, scripts: whatever else comes in says where from.
    ours = {
        "", ".c", ".cff", ".cir", ".css", ".csv", ".html", ".ipynb", ".j2", ".js", ".lib", ".md", ".png", ".py", ".sch",
        ".sh", ".svg", ".toml", ".txt", ".typed", ".va", ".yaml", ".yml",
    }  # fmt: skip
    foreign = [name for name in shipped if Path(name).suffix not in ours]
    entries = tomllib.loads((CHECKOUT / "REUSE.toml").read_text())["annotations"]
    named = {entry["path"] for entry in entries[1:]}
    assert set(foreign) == {"docs/styles/stix-two-math.woff2"}
    assert set(foreign) <= named
    assert licence_of("docs/styles/stix-two-math.woff2") == "OFL-1.1"
    notice = re.compile(
        r"(?i)licensed under the (?!project)|SPDX-License-Identifier: (?!GPL-3.0-or-later)|All rights reserved"
    )
    texts = [
        name for name in shipped if Path(name).suffix in {".css", ".js", ".j2", ".lib", ".cir", ".va", ".csv", ".yaml"}
    ]
    assert [name for name in texts if notice.search((CHECKOUT / name).read_text(encoding="utf-8"))] == []


def test_licences_of_all_dependencies_are_told() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needed = project["dependencies"] + [one for name in extras if name not in ("all", "dev") for one in extras[name]]
    told = (CHECKOUT / "docs" / "licences.md").read_text().lower()
    names = [re.split(r"[<>=\[ ]", one)[0].lower() for one in needed]
    assert len(names) > 15
    assert [name for name in names if name not in told and name != "analog-fhn"] == []


def public_functions() -> list[tuple[str, typing.Any]]:
    """Every public name that is a function or class, and the public methods and properties of classes."""
    found: list[tuple[str, typing.Any]] = []
    for name in analog_fhn.__all__:
        value = getattr(analog_fhn, name)
        found.append((name, value))
        if not inspect.isclass(value):
            continue
        for key, member in vars(value).items():
            member = member.__func__ if isinstance(member, classmethod | staticmethod) else member
            member = member.fget if isinstance(member, property) else getattr(member, "func", member)
            if not key.startswith("_") and inspect.isfunction(member) and member.__module__.startswith("analog_fhn"):
                found.append((f"{name}.{key}", member))
    return found


def lacks(name: str, value: typing.Any) -> str:
    """What a public name lacks in documentation and types, in words; "": nothing."""
    told = inspect.getdoc(value)
    if not told:
        return "a docstring"
    if inspect.isclass(value) and issubclass(value, Exception):
        return ""
    signature = inspect.signature(value)
    if not inspect.isclass(value) and signature.return_annotation is inspect.Signature.empty:
        return "the type of what it returns"
    parameters = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
    if untyped := [p.name for p in parameters if p.annotation is inspect.Parameter.empty]:
        return f"types of {untyped}"
    # NumPy style: a section that names each parameter, alone or with others; methods of few need none
    section = told.partition("Parameters\n----------\n")[2]
    named = {one.strip("* ") for line in re.findall(r"^(\S.*)$", section, re.M) for one in line.split(",")}
    if "." in name or hasattr(value, "model_fields"):  # what a file's sections hold is documented there
        return ""
    untold = [p.name for p in parameters if p.name not in named]
    return f"parameters {untold}" if untold else ""


def test_public_names_are_typed_and_documented() -> None:
    public = public_functions()
    assert len(public) > 100
    assert {name: lack for name, value in public if (lack := lacks(name, value))} == {}
