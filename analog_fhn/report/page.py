"""HTML pages in one file: text is escaped unless it is said to be HTML; pictures are inline, nothing is fetched."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterable, Sequence
from string import Template

import matplotlib
from matplotlib.figure import Figure

LONG = 24  # letters of a name that has a column of its own
MINUS, SPACE, THIN = "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}"

# No script, no font, no picture from anywhere: what slips in from a file can neither run nor load.
_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
$style
</style>
</head>
<body>
<main>
$body
</main>
</body>
</html>
""")

_STYLE = """\
:root { color-scheme: light; --ink: #222; --soft: #5c6b73; --line: #d5dbde; --accent: #0b6e99; --bad: #b3261e }
* { box-sizing: border-box }
html { -webkit-text-size-adjust: 100% }
body { margin: 0; background: #fff; color: var(--ink); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
main { max-width: 46rem; margin: 0 auto; padding: 1rem }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .5rem 0 0 }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; padding-top: .5rem; border-top: 1px solid var(--line) }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem }
p { margin: .5rem 0 }
.soft, figcaption, .caption { color: var(--soft); font-size: .875rem }
nav { font-size: .875rem; margin: .8rem 0 }
a { color: var(--accent) }
nav a { margin-right: .9em; display: inline-block; padding: .2em 0 }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.4rem, 1fr)); gap: .6rem; margin: 1rem 0 }
.tile { border: 1px solid var(--line); border-left: 4px solid var(--accent); border-radius: 4px; padding: .5rem .7rem }
.tile b { display: block; font-size: 1.3rem; line-height: 1.3 }
.tile span { display: block; font-size: .8rem; color: var(--soft) }
.warning { border-left: 4px solid var(--bad); background: #fbeeed; padding: .5rem .8rem }
figure { margin: .8rem 0 1.2rem }
figure svg { display: block; width: 100%; height: auto; max-width: 36rem }
figcaption { margin-top: .4rem }
.scroll { overflow-x: auto; margin: .3rem 0 .8rem; overflow-wrap: normal }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums }
.caption { margin: 1rem 0 0 }
th, td { padding: .25rem .5rem; text-align: right; vertical-align: top; border-bottom: 1px solid var(--line) }
th { font-weight: 600 }
.text { text-align: left }
th:first-child, td:first-child { text-align: left; padding-left: 0 }
td.words { min-width: 8.5rem; overflow-wrap: anywhere }
tr.name td { border-bottom: none; padding-bottom: 0; overflow-wrap: anywhere }
pre span { display: inline-block; max-width: 100% }
td small { display: block; color: var(--soft); font-size: .75rem; white-space: nowrap }
table.counts { font-size: .75rem }
table.counts th, table.counts td { padding: .15rem .3rem; text-align: right }
table.counts th:first-child { position: sticky; left: 0; background: #fff }
table.counts td small { font-size: .65rem }
pre { background: #f4f6f7; padding: .6rem .8rem; margin: .4rem 0; border-radius: 4px; font-size: .8rem;
  white-space: pre-wrap; overflow-wrap: anywhere }
code { font-size: .9em }
ol { padding-left: 1.4rem }
dl { display: grid; grid-template-columns: 6.2rem 1fr; gap: .2rem .8rem; font-size: .875rem }
dt { color: var(--soft) }
dd { margin: 0; min-width: 0 }
@media (max-width: 480px) { th, td, td.text, th.text { padding: .25rem .3rem } }
@media print {
  @page { size: A4; margin: 15mm }
  body { font-size: 10.5pt; -webkit-print-color-adjust: exact; print-color-adjust: exact }
  main { max-width: none; padding: 0 }
  nav { display: none }
  .scroll { overflow: visible }
  h2, h3, .caption, p:has(+ figure) { break-after: avoid }
  p, figure, .tile, tr, li { break-inside: avoid }
  tr.name { break-after: avoid }
  figure svg { max-width: 10.5cm; max-height: 21cm }
  table { font-size: 8.5pt }
  table.counts { font-size: 7.5pt }
  table.counts td small { font-size: 6.5pt }
}"""


class Html(str):
    """Text that is HTML already; every other text is escaped."""

    __slots__ = ()


Content = str | int | Iterable["Content"] | None


def rendered(content: Content) -> Html:
    """HTML of a text, of pieces after each other, or of nothing (None)."""
    if isinstance(content, Html):
        return content
    if content is None:
        return Html()
    if isinstance(content, str | int):
        return Html(html.escape(str(content)))
    return Html("".join(map(rendered, content)))


def element(name: str, *content: Content, **attributes: str | int) -> Html:
    """An element; a trailing underscore of an attribute's name is dropped (`class_`)."""
    given = "".join(f' {key.rstrip("_")}="{html.escape(str(value))}"' for key, value in attributes.items())
    return Html(f"<{name}{given}>{rendered(content)}</{name}>")


def paragraph(*content: Content, **attributes: str | int) -> Html:
    """A paragraph."""
    return element("p", *content, **attributes)


def section(name: str, title: str, *content: Content) -> Html:
    """A part of the page; `name` is what links lead to."""
    return element("section", element("h2", title), "\n", *content, id=name)


def table(
    head: Sequence[Content], rows: Iterable[Sequence[Content]], *, caption: Content = None, text: Sequence[int] = ()
) -> Html:
    """A table, which scrolls by itself where it is wider than the page.

    Parameters
    ----------
    text
        Further columns of words; the first one is.
    """
    cells = [[rendered(cell) for cell in row] for row in rows]
    # Long names stand above their numbers: a phone has no room beside them.
    long = any(row and len(row[0]) > LONG for row in cells)
    body: list[Content] = []
    for row in cells:
        name = element("tr", element("td", row[0], colspan=len(head)), class_="name") if long else None
        body += [name, _row("td", ["", *row[1:]] if long else row, text)]
    whole = element("table", element("thead", _row("th", head, text)), element("tbody", body))
    # Not a <caption>: it would be as wide as the table, and scroll with it.
    above = paragraph(caption, class_="caption") if caption else None
    return rendered([above, element("div", whole, class_="scroll", tabindex=0)])


def _row(kind: str, row: Sequence[Content], text: Sequence[int]) -> Html:
    def words(cell: Content) -> dict[str, str]:
        return {"class_": "text words" if len(rendered(cell)) > LONG else "text"}

    return element("tr", *(element(kind, cell, **(words(cell) if k in text else {})) for k, cell in enumerate(row)))


def definitions(pairs: Iterable[tuple[str, Content]]) -> Html:
    """A list of terms and what they are."""
    return element("dl", [(element("dt", term), element("dd", content)) for term, content in pairs])


def picture(figure: Figure, name: str, alt: str, caption: Content) -> Html:
    """A figure with its caption; `name` is unique on the page, `alt` says what is seen.

    Letters are outlines: a phone without the font shows the same picture.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    # A style sheet would hold for the whole page, and ids must differ between pictures.
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r'(\sid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    box = re.search(r'viewBox="[^"]*"', text)
    assert box is not None
    head = (
        f'<svg role="img" {box[0]} preserveAspectRatio="xMinYMin" aria-label="{html.escape(alt)}" '
        'style="stroke-linejoin:round;stroke-linecap:butt">'
    )
    text = re.sub(r"<svg[^>]*>", lambda _: f"{head}<title>{html.escape(alt)}</title>", text, count=1)
    return element("figure", Html(text), element("figcaption", caption))


def page(title: str, *body: Content) -> str:
    """The whole file."""
    return _PAGE.substitute(title=html.escape(title), style=_STYLE, body=rendered(body))


def percent(value: float) -> str:
    """A fraction as people read it."""
    return f"{100 * value:.2f}{SPACE}%"


def span(low: float, high: float) -> str:
    """Two fractions."""
    return f"{100 * low:.2f} to {percent(high)}"


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
