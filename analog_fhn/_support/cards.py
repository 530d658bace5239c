"""How objects show themselves: one card gives the line at the prompt, the text of `print`, and a notebook's HTML."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeVar

from markupsafe import Markup

from analog_fhn._support.extras import extra

if TYPE_CHECKING:
    import pandas

T = TypeVar("T")

MOST_ROWS = 24  # of a table; of a longer one the first are shown
_BAR = 120  # pixels of a share of 1

# Nothing but inline styles, so that a card needs no style sheet and changes nothing around it; letters and background
# are those of the page, light or dark, and colours only repeat what stands there in words.
_CARD = (
    "border:1px solid rgba(128,128,128,.4);border-left:4px solid #0b6e99;border-radius:4px;padding:.5em .8em;"
    "margin:.5em 0;max-width:52em;overflow-x:auto;color:inherit;font-size:.9em;line-height:1.4"
)
_TABLE = (
    "border-collapse:collapse;margin:.4em 0 0;color:inherit;background:transparent;font-size:inherit;"
    "font-variant-numeric:tabular-nums"
)
_LINE = "border:0;border-bottom:1px solid rgba(128,128,128,.3);padding:.15em 1.2em .15em 0;vertical-align:top;"


@dataclass(frozen=True)
class Bar:
    """A cell that shows a share as a bar beside its text.

    Parameters
    ----------
    share
        From 0 to 1.
    text
        What stands there where there are no bars.
    """

    share: float
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Grid:
    """A table within a card.

    Parameters
    ----------
    head
        Names of the columns.
    rows
        Cells of each row; None: nothing is known.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True)
class Card:
    """What an object shows of itself.

    Parameters
    ----------
    title
        What it is: "Network 64-16-10".
    line
        What is most worth knowing, on one line.
    facts
        Further facts, each with its name.
    grids
        Tables.
    """

    title: str
    line: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    grids: Sequence[Grid] = ()

    @property
    def heading(self) -> str:
        """Title and line."""
        return f"{self.title}: {self.line}" if self.line else self.title

    def text(self) -> str:
        """The card in plain text."""
        width = max(map(len, self.facts), default=0)
        lines = [self.heading, *(f"  {name:{width}}  {_text(value)}" for name, value in self.facts.items())]
        for grid in self.grids:
            cells = [[_text(cell) for cell in row] for row in (grid.head, *grid.rows[:MOST_ROWS])]
            widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
            right = [_is_number(column) for column in zip(*grid.rows[:MOST_ROWS], strict=True)] or [False] * len(widths)
            for row in cells:
                aligned = (
                    f"{cell:>{width}}" if of_numbers else f"{cell:{width}}"
                    for cell, width, of_numbers in zip(row, widths, right, strict=True)
                )  # fmt: skip
                lines.append(f"  {'  '.join(aligned)}".rstrip())
            if len(grid.rows) > MOST_ROWS:
                lines.append(f"  ... and {len(grid.rows) - MOST_ROWS} more")
        return "\n".join(lines)

    def html(self) -> str:
        """The card as one HTML element that needs nothing else; every value is escaped."""
        line = Markup(" <span>{}</span>").format(self.line) if self.line else Markup("")
        parts = [Markup("<div><b>{}</b>{}</div>").format(self.title, line)]
        if self.facts:
            rows = (
                _row(
                    (Markup('<th scope="row" style="{}">{}</th>').format(f"{_LINE}text-align:left", name), _cell(value))
                )
                for name, value in self.facts.items()
            )
            parts.append(_table(rows))
        parts += [_grid(grid) for grid in self.grids]
        return str(Markup('<div style="{}">{}</div>').format(_CARD, Markup("").join(parts)))


def _grid(grid: Grid) -> Markup:
    shown = grid.rows[:MOST_ROWS]
    right = [_is_number(column) for column in zip(*shown, strict=True)] or [False] * len(grid.head)
    head = (
        Markup('<th scope="col" style="{}">{}</th>').format(
            f"{_LINE}text-align:{'right' if of_numbers else 'left'}", name
        )
        for name, of_numbers in zip(grid.head, right, strict=True)
    )
    rows = [_row(head), *(_row(map(_cell, row, right)) for row in shown)]
    if len(grid.rows) > MOST_ROWS:
        more = Markup('<td colspan="{}" style="{}">and {} more</td>')
        rows.append(_row([more.format(len(grid.head), f"{_LINE}text-align:left", len(grid.rows) - MOST_ROWS)]))
    return _table(rows)


def _table(rows: Iterable[Markup]) -> Markup:
    # The class keeps a page's own style for tables away.
    return Markup('<table class="analog-fhn" style="{}"><tbody>{}</tbody></table>').format(
        _TABLE, Markup("").join(rows)
    )


def _row(cells: Iterable[Markup]) -> Markup:
    return Markup('<tr style="background:transparent">{}</tr>').format(Markup("").join(cells))


def _cell(value: object, right: bool = False) -> Markup:
    content = Markup("{}").format(_text(value))
    if isinstance(value, Bar):
        width = round(_BAR * min(max(value.share, 0.0), 1.0))
        bar = "display:inline-block;height:.6em;background:#0b6e99;margin-right:.5em;border-radius:2px"
        content = Markup('<span style="{};width:{}px"></span>{}').format(bar, width, content)
    aligned = "text-align:right;white-space:nowrap" if right else "text-align:left"
    return Markup('<td style="{}">{}</td>').format(f"{_LINE}{aligned}", content)


def _is_number(column: Iterable[object]) -> bool:
    """Whether cells are numbers, alone or in front of their unit."""
    texts = [_text(value) for value in column if value is not None and not isinstance(value, Bar)]
    return bool(texts) and all(text[:1].isdigit() or (text[1:2].isdigit() and text[0] in "+-") for text in texts)


def _text(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, Real) and not isinstance(value, int) else str(value)


class Shown:
    """An object that shows itself by its card: at the prompt, to `print`, and in a notebook."""

    __slots__ = ()

    @abstractmethod
    def _card(self) -> Card:
        """What it shows of itself."""

    def __repr__(self) -> str:
        return f"<{self._card().heading}>"

    def __str__(self) -> str:
        return self._card().text()

    def _repr_html_(self) -> str:
        return self._card().html()


class Tabular(Shown):
    """An object with a table."""

    __slots__ = ()

    @abstractmethod
    def table(self) -> list[dict[str, Any]]:
        """One dictionary per row, by the names of the columns."""

    def frame(self) -> pandas.DataFrame:
        """The rows of `table` as a data frame of pandas.

        Raises
        ------
        MissingProgramError
            Without pandas.
        """
        return data_frame(self.table())


class Rows(list[T], Tabular):
    """Records of one kind in their order: a list that shows itself and is a table."""

    __slots__ = ()

    def table(self) -> list[dict[str, Any]]:
        """One dictionary per record, by the names of its fields."""
        return [asdict(record) for record in self]  # type: ignore[call-overload]

    __repr__, __str__ = Shown.__repr__, Shown.__str__


def data_frame(rows: list[dict[str, Any]]) -> pandas.DataFrame:
    """Rows as a data frame of pandas.

    Raises
    ------
    MissingProgramError
        Without pandas.
    """
    with extra("tables", "data frames need pandas"):
        import pandas
    return pandas.DataFrame(rows)


def grid_of(rows: Sequence[Mapping[str, Any]], form: Mapping[str, Callable[[Any], object]] | None = None) -> Grid:
    """Table of rows that have the same columns.

    Parameters
    ----------
    form
        How the values of a column are shown, by its name; None and others are shown as they are.
    """
    form = form or {}
    head = list(rows[0]) if rows else []
    cells = [[None if (v := row[name]) is None else form.get(name, _same)(v) for name in head] for row in rows]
    return Grid([name.replace("_", " ") for name in head], cells)


def _same(value: object) -> object:
    return value
