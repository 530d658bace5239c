"""The documentation builds into a site that needs nothing from elsewhere, with every formula as MathML."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import chromium
import pytest

pytest.importorskip("latex2mathml")
ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
# what a browser fetches by itself; a link that a reader may follow is no such thing
FETCHED = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?([^\"'\s>]+)|<link\b[^>]*\bhref=[\"']?([^\"'\s>]+)"
)
FETCHED_BY_STYLE = re.compile(r"url\(\s*[\"']?([^\"')]+)|@import\s+[\"']([^\"']+)")
ELSEWHERE = re.compile(r"(https?:)?//")
CODE = re.compile(r"^```.*?^```|``.*?``|`[^`\n]*`", re.DOTALL | re.MULTILINE)
FORMULA = re.compile(r"\$\$.+?\$\$|\$[^$\n]+\$", re.DOTALL)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if built := os.environ.get("ANALOG_FHN_SITE"):  # by `make test`, just before
        return Path(built)
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    build = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert build.returncode == 0, build.stdout + build.stderr
    return folder


def page(site: Path, source: Path) -> str:
    return (site / source.relative_to(DOCS).with_suffix(".html")).read_text(encoding="utf-8")


def test_no_page_or_style_fetches_from_another_host(site: Path) -> None:
    fetched = {
        (path.name, address)
        for suffix, pattern in ((".html", FETCHED), (".css", FETCHED_BY_STYLE))
        for path in site.rglob(f"*{suffix}")
        for match in pattern.findall(path.read_text(encoding="utf-8"))
        for address in match
    }
    assert fetched
    assert [(name, address) for name, address in fetched if ELSEWHERE.match(address)] == []


@pytest.mark.parametrize("source", sorted(DOCS.rglob("*.md")), ids=lambda path: path.stem)
def test_every_formula_is_mathml(site: Path, source: Path) -> None:
    formulas = FORMULA.findall(CODE.sub("", source.read_text(encoding="utf-8")))
    elements = re.findall(r"<math\b.*?</math>", page(site, source), re.DOTALL)
    blocks = [element for element in elements if 'display="block"' in element]
    assert len(elements) == len(formulas)
    assert len(blocks) == sum(formula.startswith("$$") for formula in formulas)
    for element in elements:
        assert "\\" not in "".join(ElementTree.fromstring(element).itertext())


@pytest.mark.parametrize("source", sorted(DOCS.rglob("*.md")), ids=lambda path: path.stem)
def test_no_table_is_cut_by_an_empty_line(site: Path, source: Path) -> None:
    assert not re.search(r"<p>\s*\|", page(site, source))


def test_search_finds_words_in_a_page_that_is_opened_from_the_disk(site: Path) -> None:
    with chromium.started() as browser:
        tab = browser.new_page()
        asked: list[str] = []
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto((site / "index.html").as_uri())
        tab.click("input.md-search__input")
        tab.keyboard.type("pancreatic")
        found = tab.locator(".md-search-result__item a").first
        found.wait_for(timeout=30_000)
        found.click()
        tab.wait_for_url("**/record.html*")
        assert "pancreatic beta cell" in tab.locator("article").inner_text()
    assert {address.split(":")[0] for address in asked} <= {"file", "data", "blob"}


def test_the_neuron_equation_is_set(site: Path) -> None:
    assert "<mi>&#x003B5;</mi><mfrac>" in page(site, DOCS / "neuron.md")
    for name in ("styles/math.css", "styles/stix-two-math.woff2"):
        assert (site / name).stat().st_size > 0
