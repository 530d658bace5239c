"""Runs the notebooks and writes them as pages: `python docs/notebooks.py [NAME ...]`, or all of them.

A page has the notebook's prose, its code, and what each cell shows: pictures, tables, text. It is a file like any
other of the documentation, so that the site is built without running anything; a test runs the notebooks and compares.
"""

from __future__ import annotations

import ast
import importlib.util
import io
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "examples" / "notebooks"
PAGES = ROOT / "docs" / "tutorials"
HEADING = "<!-- Made from {} by docs/notebooks.py, which runs it: edit the notebook, not this page. -->\n"
RUNNING = """
---

This page is the notebook `{path}` as it ran. Run it yourself, `python {path}`, or open it with
`pip install "analog-fhn[notebooks]"` and `marimo edit {path}`.
"""
DPI = 100


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook: prose, or code."""

    prose: str | None
    code: str


@dataclass(frozen=True)
class Page:
    """A notebook as a page: its text, and the PNG files of its pictures by their names."""

    text: str
    pictures: dict[str, bytes]


def cells(path: Path) -> list[Cell]:
    """Cells of a notebook in the order of its file, in which `app.run` gives their outputs."""
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines(keepends=True)
    found = []
    for node in ast.parse(source).body:
        if not (isinstance(node, ast.FunctionDef) and any("app.cell" in ast.unparse(d) for d in node.decorator_list)):
            continue
        body = [statement for statement in node.body if not isinstance(statement, ast.Return)]
        prose = _prose(body[0]) if len(body) == 1 else None
        first, last = body[0].lineno - 1, body[-1].end_lineno or body[-1].lineno
        code = "".join(line.removeprefix("    ") for line in lines[first:last])
        found.append(Cell(prose, code.strip()))
    return found


def _prose(statement: ast.stmt) -> str | None:
    """Markdown of a cell that is `mo.md("...")` alone."""
    match statement:
        case ast.Expr(ast.Call(ast.Attribute(ast.Name("mo"), "md"), [ast.Constant(str(text))])):
            return "\n".join(line.removeprefix("    ") for line in text.strip().splitlines())
    return None


def load(path: Path) -> Any:
    """Module of a notebook, not run."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Worker processes are told where a class of the main program comes from; a notebook is none.
    spec.loader.exec_module(module)
    return module


def page(path: Path) -> Page:
    """Run a notebook and make its page."""
    from matplotlib import pyplot

    outputs, _ = load(path).app.run()
    text, pictures = [HEADING.format(path.relative_to(ROOT).as_posix())], {}
    for cell, output in zip(cells(path), outputs, strict=True):
        if cell.prose is not None:
            text.append(f"{cell.prose}\n")
            continue
        if cell.code == "import marimo as mo":
            continue
        text.append(f"```python\n{cell.code}\n```\n")
        if (drawn := _drawn(output)) is not None:
            name = f"{path.stem}-{len(pictures) + 1}.png"
            pictures[name], words = drawn
            text.append(f"![{words}](images/{name})\n")
        elif output is not None:
            text.append(f"{_shown(output)}\n")
    pyplot.close("all")
    text.append(RUNNING.format(path=path.relative_to(ROOT).as_posix()).lstrip())
    return Page("\n".join(text), pictures)


def _drawn(output: Any) -> tuple[bytes, str] | None:
    """Picture as PNG, and what is seen on it in words; None: the output is none."""
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

    if not isinstance(output, Artist):
        return None
    figure = output if isinstance(output, Figure) else output.get_figure(root=True)
    assert isinstance(figure, Figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue(), _words(figure)


def _words(figure: Any) -> str:
    """What a picture shows: its title, and the labels of its axes."""
    axes = figure.axes[0]
    labels = [label for label in (axes.get_ylabel(), axes.get_xlabel()) if label]
    title = figure.get_suptitle() or axes.get_title() or axes.get_title("left")
    parts = [title, " against ".join(labels)] if len(labels) == 2 else [title, *labels]
    words = ": ".join(part for part in parts if part) or "picture"
    return re.sub(r"[\s\[\]]+", " ", words.split("; bars")[0]).strip()


def _shown(output: Any) -> str:
    """What a cell shows besides pictures: a table, a card, or text."""
    if hasattr(output, "to_html"):
        table = output.to_html(border=0, classes="analog-fhn", float_format=lambda value: f"{value:.4g}")
        return f'<div class="output">{"".join(line.strip() for line in table.splitlines())}</div>'
    if hasattr(output, "_repr_html_"):
        card = re.sub(r"scikit-learn [\d.]+", "scikit-learn", output._repr_html_())
        return f'<div class="output">{card}</div>'
    return f"```text\n{output}\n```"


def notebooks(names: list[str] | None = None) -> Iterator[Path]:
    """Notebooks of these names, or all."""
    for path in sorted(NOTEBOOKS.glob("*.py")):
        if not names or path.stem in names:
            yield path


def main() -> None:
    """Write the pages."""
    (PAGES / "images").mkdir(parents=True, exist_ok=True)
    for path in notebooks(sys.argv[1:]):
        made = page(path)
        for old in (PAGES / "images").glob(f"{path.stem}-*.png"):
            old.unlink()
        for name, content in made.pictures.items():
            (PAGES / "images" / name).write_bytes(content)
        (PAGES / f"{path.stem}.md").write_text(made.text, encoding="utf-8")
        print(f"{PAGES / path.stem}.md: {len(made.pictures)} pictures")


if __name__ == "__main__":
    main()
