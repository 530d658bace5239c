"""Hook of MkDocs: formulas become MathML while the site is built, so that pages need no script to show them."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError

# what pymdownx.arithmatex (generic) leaves of $...$ and of $$...$$
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def mathml(formula: re.Match[str]) -> str:
    """MathML of one match of `FORMULA`; a command that the converter does not know is a `PluginError`."""
    tag, bracket, escaped = formula.groups()
    latex = unescape(escaped).strip()
    markup = str(convert(latex, display="block" if bracket == "[" else "inline"))
    if "\\" in markup or "&amp;" in markup or "<mi>&</mi>" in markup:  # unknown commands and columns pass as they are
        raise PluginError(f"formula cannot be set as MathML: {latex}")
    return f'<{tag} class="arithmatex">{markup}</{tag}>'


def on_page_content(html: str, **_: Any) -> str:
    """HTML of a page with every formula as MathML."""
    return FORMULA.sub(mathml, html)
