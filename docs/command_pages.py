"""Hook of MkDocs: the options of a command's page are asked of the command itself, so that the table cannot go stale.

`<!-- options of device fit -->` in a page becomes the table of `analog-fhn device fit`.
"""

from __future__ import annotations

import re
from html import escape
from typing import Any

import typer
from mkdocs.exceptions import PluginError

from analog_fhn.cli import app

MARK = re.compile(r"<!-- options of ([a-z -]+) -->")
LIMITS = re.compile(r"\s+\[([^\[\]]*)\]$")  # what Typer ends a help text with: default, range, required

KINDS = {"<int range>": "N", "<float range>": "NUMBER", "<float>": "NUMBER", "<str>": "TEXT", " <path>": ""}


def command(name: str) -> tuple[Any, Any]:
    """Click's command and context of a command's name, such as `classify` or `device fit`."""
    group: Any = typer.main.get_command(app)
    context = typer.Context(group, info_name="analog-fhn")
    for word in name.split():
        commands = getattr(group, "commands", None) or getattr(group, "subcommands", {})
        if word not in commands:
            raise PluginError(f"there is no command analog-fhn {name}")
        group = commands[word]
        context = typer.Context(group, info_name=word, parent=context)
    return group, context


def rows(name: str) -> list[tuple[str, str, str]]:
    """Option or argument, what it does, and its default or limits, in the order of the help."""
    found, context = command(name)
    records = []
    for parameter in found.params:
        written, text = parameter.get_help_record(context) or ("", "")
        limits = LIMITS.search(text)
        words = limits.group(1).replace("default: ", "") if limits else ""
        records.append((written, text[: limits.start()] if limits else text, words))
    return sorted(records, key=lambda row: row[0].startswith("-"))


def table(name: str) -> str:
    """Markdown of the table."""
    lines = ["| | what it does | default or limits |", "|---|---|---|"]
    for written, text, limits in rows(name):
        if written:
            for of_typer, ours in KINDS.items():
                written = written.replace(of_typer, ours)
            text, limits = (escape(part, quote=False) for part in (text, limits))
            lines.append(f"| `{written}` | {_cell(text)} | {_cell(limits)} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Text of a page with its tables of options."""
    return MARK.sub(lambda found: table(found.group(1)), markdown)
