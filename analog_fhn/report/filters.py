"""Numbers and lists as people read them: the filters of the templates."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

LONG = 24  # letters of a name that has a column of its own
MINUS, SPACE, THIN = "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}"


def hundredfold(value: float, digits: int = 2) -> str:
    """A fraction in percent, without the sign for it."""
    return f"{100 * value:.{digits}f}"


def percent(value: float, digits: int = 2) -> str:
    """A fraction in percent."""
    return f"{hundredfold(value, digits)}{SPACE}%"


def span(low: float, high: float, word: str = "to") -> str:
    """Two fractions in percent."""
    return f"{hundredfold(low)} {word} {percent(high)}"


def decimal(value: float, digits: int = 2) -> str:
    """A number with its decimals."""
    text = f"{value:.{digits}f}"
    return (text.removeprefix("-") if float(text) == 0.0 else text).replace("-", MINUS)


def points(value: float) -> str:
    """A mean loss or gain (fraction) in percentage points; means of many chips tell thousandths apart."""
    return decimal(100 * value, 3)


def signed(value: float) -> str:
    """A change (fraction) in percentage points, with its sign."""
    text = decimal(100 * value)
    return text if text == "0.00" or value < 0.0 else f"+{text}"


def number(value: int) -> str:
    """A count with its thousands apart."""
    return f"{value:,}".replace(",", THIN)


def count(n: int, thing: str) -> str:
    """A count and what is counted."""
    return f"{number(n)} {thing}{'' if n == 1 else 's'}"


def power(value: float) -> str:
    """A small number with one decimal and its power of ten."""
    return "0" if value == 0 else re.sub("e([+-])0*", r"e\1", f"{value:.1e}").replace("e+", "e")


def value_range(values: Iterable[float]) -> str:
    """Least and largest of some fractions in percent; one number where both read the same."""
    low, high = min(sequence := list(values)), max(sequence)
    return percent(low) if percent(low) == percent(high) else span(low, high)


def listed(names: Sequence[str]) -> str:
    """Names with commas and an 'and'."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def any_long(names: Iterable[str]) -> bool:
    """Whether a name is too long for a column of its own."""
    return any(len(name) > LONG for name in names)


def changed_classes(classes: Mapping[str, str], present: Mapping[str, str]) -> str:
    """Part classes that differ from the present ones."""
    return "; ".join(f"{key}: {name}" for key, name in classes.items() if present.get(key) != name) or "none"


def one_line(text: str) -> Markup:
    """Text, or HTML, without the line breaks of its template, for attributes."""
    return Markup(re.sub(r"[ \n]+", " ", escape(text)).strip())


FILTERS: dict[str, Any] = {
    function.__name__: function
    for function in (
        hundredfold, percent, span, decimal, points, signed, number, count, power, value_range, listed, any_long,
        changed_classes, one_line,
    )
}  # fmt: skip
