"""Every command has its page, whose example it understands and whose table of options is its own."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
import yaml
from abf_files import write_abf
from command_line import run
from extras import install

from analog_fhn.cli import app

pytest.importorskip("mkdocs")
DOCS = Path(__file__).parents[1] / "docs"
PAGES = DOCS / "reference" / "commands"
GROUP: Any = typer.main.get_command(app)
NAMES = sorted(GROUP.commands)
LINE = re.compile(r"^ *(?:cd \S+ && )?(analog-fhn [^#\n]*)", re.MULTILINE)


def lines() -> list[tuple[str, str]]:
    """Page and command line, of all pages."""
    found = []
    for path in [*sorted(DOCS.rglob("*.md")), DOCS.parent / "README.md"]:
        text = path.read_text(encoding="utf-8").replace("\\\n", " ")
        blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
        blocks += re.findall(r"^    analog-fhn .*$", text, re.MULTILINE)
        for block in blocks:
            found += [(path.name, line.split("&&")[0].strip()) for line in LINE.findall(block)]
    return sorted(set(found))


def leaf(words: list[str]) -> tuple[Any, list[str], Any]:
    """Command that a line calls, what it is given, and the context in between."""
    command, context = GROUP, None
    while hasattr(command, "commands"):
        context = typer.Context(command, info_name=words[0], parent=context)
        words = words[1:]
        command = command.commands[words[0]]
    return command, words[1:], context


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_a_page_with_a_recorded_example(name: str) -> None:
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    assert f"reference/commands/{name}.md" in (DOCS / "commands.md").read_text(encoding="utf-8")
    example = re.search(r"```bash\n(analog-fhn .*?)```\n\n```text\n(.+?)```", text, re.DOTALL)
    assert example is not None
    assert example.group(1).split()[1] == name
    assert re.search(r"^<!-- options of " + name, text, re.MULTILINE)
    for title in ("## Options", "## Exit status", "## JSON"):
        assert title in text


def test_there_are_pages_of_commands_alone() -> None:
    assert sorted(path.stem for path in PAGES.glob("*.md")) == NAMES


@pytest.mark.parametrize(("page", "line"), lines())
def test_the_commands_understand_what_the_pages_call(
    page: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, tmp_path / "installed")  # the backend of "How to add a backend"
    monkeypatch.chdir(tmp_path)
    command, arguments, context = leaf(shlex.split(line))
    command.make_context(command.name, arguments, parent=context)


def test_the_table_of_options_is_that_of_the_command() -> None:
    spec = importlib.util.spec_from_file_location("command_pages", DOCS / "command_pages.py")
    assert spec is not None
    assert spec.loader is not None
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    table = hook.on_page_markdown("<!-- options of device fit -->")
    written = re.findall(r"^\| `(.*?)` \|", table, re.MULTILINE)
    command, _, _ = leaf(["analog-fhn", "device", "fit"])
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("-")}
    assert {word.rstrip(",") for row in written for word in row.split() if word.startswith("-")} == options
    assert "| polynomial |" in table
    assert "| required |" in table


@pytest.mark.parametrize(
    "arguments",
    ["design", "record --source fhn --duration 0.01 -o record.csv", "record --info cell.abf"],
    ids=["design", "record", "record --info"],
)
def test_the_keys_of_the_json_are_those_of_the_page(
    arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_abf(tmp_path / "cell.abf", [np.full((1280, 1), -60.0)] * 4, epochs=[(800, -20.0, 15.0)], rate=4000.0)
    status, out, err = run(*arguments.split(), "--json", "-")
    assert status == 0, err
    page = (PAGES / f"{arguments.split()[0]}.md").read_text(encoding="utf-8").partition("## JSON")[2]
    first, _, info = page.partition("\nOf `record --info`")
    page = info if "--info" in arguments else first
    rows = re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE)
    told = {key for row in rows for key in re.findall(r"`(\w+)`", row)}
    assert set(json.loads(out)) - {"command", "versions", "seed", "seconds"} == told


def test_the_files_that_the_pages_show_are_read(tmp_path: Path) -> None:
    from analog_fhn.montecarlo.plan import Sweep

    shown = 0
    for path in [*PAGES.glob("*.md"), DOCS / "first_chip.md"]:
        for block in re.findall(r"```yaml\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
            if "chips" in yaml.safe_load(block):
                (tmp_path / "plan.yaml").write_text(block)
                Sweep.load(tmp_path / "plan.yaml")
                shown += 1
    assert shown >= 4
