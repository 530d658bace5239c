"""The page in Chromium: what stands on it is what the library returns; keyboard, phone, links, runs that are left."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

import analog_fhn as af
from analog_fhn.bench.answers.yields import YieldRun, yields
from analog_fhn.bench.bench import Bench
from analog_fhn.bench.server import Server, page_files
from analog_fhn.bench.work import Watch
from analog_fhn.data import load
from analog_fhn.montecarlo.statistics import wilson

READY = "body[data-ready]:not([data-ready=no])"


class Tab:
    """A tab of the page, and everything that the browser said or asked for."""

    def __init__(self, browser: Browser, address: str, width: int = 1280, scheme: Any = "light") -> None:
        self.page: Page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)
        self.ready()

    def ready(self, *changes: str) -> None:
        """Wait until a state with these changes (``gamma=-0.95``) is shown as a whole."""
        ends = "".join(f'[data-ready*="{change}"]' for change in changes)
        self.page.wait_for_selector(READY + ends, timeout=60_000)

    def text(self, place: str) -> str:
        return self.page.inner_text(f"#{place}").replace("\u2212", "-").replace("\u00a0", " ").replace("\u2009", " ")

    def number(self, place: str, pattern: str) -> float:
        match = re.search(pattern, self.text(place))
        assert match, self.text(place)
        return float(match[1])


@pytest.fixture
def opened(browser: Browser, served: Server) -> Iterator[Callable[..., Tab]]:
    tabs: list[Tab] = []

    def open_tab(hash_: str = "", **options: Any) -> Tab:
        tabs.append(Tab(browser, served.address + hash_, **options))
        return tabs[-1]

    yield open_tab
    for tab in tabs:
        tab.page.close()
        assert tab.said == []
        assert all(address.startswith((served.address, "data:", "blob:")) for address in tab.asked)


def check_numbers(tab: Tab, network: af.Network, seed: int, image: int, **options: Any) -> None:
    """The page's numbers against those of a chip that is made by hand."""
    values = options.pop("values", {})
    chip = af.Design(network.with_options(**options), af.Technology.load("discrete").with_values(values)).chip(seed)
    data = load("digits", "test")
    result = af.classify(chip, data.images, table=9)
    right = int((result.predictions == data.labels).sum())
    assert tab.text("accuracy-number") == f"{right / 5:.2f} %"
    low, high = wilson(right, 500)
    assert f"{right} of 500 images; 95 % interval {100 * low:.2f} % to {100 * high:.2f} %" in tab.text("accuracy-said")
    assert tab.text("headline") == f"Chip {seed} of discrete: {right / 5:.2f} % of 500 images"
    scores = af.classify(chip, data.images[image : image + 1]).scores[0]
    shown = tab.page.get_attribute("#scores", "aria-label") or ""
    numbers = [float(text) for text in re.findall(r"\d: (-?\d+(?:\.\d+)?)", shown.replace("\u2212", "-"))]
    assert numbers == pytest.approx(scores, rel=6e-3)
    neuron = int(tab.page.input_value("#neuron"))
    drives = chip.layers[0].drives(data.images[image : image + 1])
    assert tab.number("waveform-said", r"drive I = ([-\d.]+)") == pytest.approx(drives[0, neuron], rel=1e-3)
    mean = af.make_backend("direct").respond(chip.layers[0].cells, drives, chip.network.protocol).mean[0, neuron]
    assert tab.number("waveform-said", r"mean output ([-\d.]+)") == pytest.approx(mean, abs=2e-3)
    canvas = tab.page.locator("#maps canvas").first
    canvas.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        canvas.press(key)
    conductance = chip.arrays[0].crossbar.conductance[2, 1]
    said = re.fullmatch(r"input array: word line 2, output 0 -: ([\d.]+) (n|.)S", tab.text("array-said"))
    assert said, tab.text("array-said")
    assert float(said[1]) * (1e-9 if said[2] == "n" else 1e-6) == pytest.approx(conductance, rel=1e-3)


def test_what_stands_on_the_page_is_what_the_library_returns(opened: Callable[..., Tab], network: af.Network) -> None:
    tab = opened()
    check_numbers(tab, network, 1, 0)
    assert "my net.npz, 64-12-10 (sigmoid), on digits" in tab.text("what")


def test_knobs_turn_by_keyboard(opened: Callable[..., Tab], network: af.Network) -> None:
    tab = opened()
    tab.page.focus("#k-gamma")
    assert tab.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    tab.page.keyboard.press("ArrowRight")
    tab.ready("gamma=-0.95")
    check_numbers(tab, network, 1, 0, gamma=-0.95)
    # The number beside the slider, by Tab, whose own arrows go step by step, too; then the seed.
    tab.page.focus("#k-gamma")
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("ArrowDown")
    assert tab.page.get_by_label("gamma, number").input_value() == "-1"
    tab.page.keyboard.press("ControlOrMeta+a")
    tab.page.keyboard.type("-0.7")
    tab.page.keyboard.press("Enter")
    tab.page.focus("#chip")
    tab.page.keyboard.press("ArrowUp")
    tab.page.keyboard.press("Tab")
    tab.ready("gamma=-0.7", "chip=2")
    check_numbers(tab, network, 2, 0, gamma=-0.7)


def test_a_knob_that_is_turned_fast_ends_at_its_last_value(opened: Callable[..., Tab], network: af.Network) -> None:
    tab = opened()
    tab.page.focus("#k-gamma")
    for _ in range(12):
        tab.page.keyboard.press("ArrowRight")
        tab.page.wait_for_timeout(30)  # some turns find a computation at work, which ends without a word
    tab.ready("gamma=-0.4")
    check_numbers(tab, network, 1, 0, gamma=-0.4)


def test_a_link_restores_the_state(opened: Callable[..., Tab], network: af.Network, tmp_path: Path) -> None:
    tab = opened("#chip=4&gamma=-0.8&resistor.tolerance=0.03&image=5")
    values = {"resistor.tolerance": 0.03}
    check_numbers(tab, network, 4, 5, gamma=-0.8, values=values)
    link = tab.text("link")
    other = opened(f"#{link.partition('#')[2]}")
    check_numbers(other, network, 4, 5, gamma=-0.8, values=values)
    assert other.page.input_value("#k-resistor-tolerance ~ input[type=number]") == "0.03"
    assert "--gamma -0.8" in other.text("command")
    other.page.click("#file summary")
    with other.page.expect_download() as download:
        other.page.click("#file-save")
    saved = af.Technology.load(Path(download.value.path()).rename(tmp_path / download.value.suggested_filename))
    assert saved == af.Technology.load("discrete").with_values(values)
    assert "{'resistor.tolerance': 0.03}" in other.text("python")


def test_a_value_that_is_refused_is_said(opened: Callable[..., Tab]) -> None:
    tab = opened()
    number = tab.page.get_by_label("gamma, number")
    number.fill("0")
    number.press("Enter")
    tab.page.wait_for_selector("#problem:not([hidden])")
    assert "gamma = 0: the neurons would not see their input" in tab.text("problem")
    assert tab.text("headline") == "not computed"
    number.fill("-1")
    number.press("Enter")
    tab.page.wait_for_selector("#problem", state="hidden")
    tab.ready()
    tab.said = [line for line in tab.said if "422" not in line]  # the browser tells of it, too


def test_the_skip_link_leaves_the_state_alone(opened: Callable[..., Tab]) -> None:
    tab = opened("#chip=4")
    link = tab.page.url
    tab.page.keyboard.press("Tab")
    assert tab.page.inner_text(":focus") == "Skip to the results"
    tab.page.keyboard.press("Enter")
    assert tab.page.evaluate("document.activeElement.id") == "results"
    assert tab.page.url == link
    assert tab.page.is_hidden("#problem")


def test_a_link_to_no_technology_leaves_the_choice(opened: Callable[..., Tab]) -> None:
    tab = opened("#technology=%3Cscript%3E&layer=7")
    assert "technology = '<script>': expected one of discrete" in tab.text("problem")
    tab.page.select_option("#technology", "memristive")
    tab.page.wait_for_selector("#problem:has-text('layer = 7: expected 0 to 0')")
    tab.page.click("#reset")
    tab.page.wait_for_selector("#problem", state="hidden")
    tab.ready("technology=memristive")
    tab.said = [line for line in tab.said if "422" not in line]  # the browser tells of it, too


def test_the_focus_is_not_behind_the_header(opened: Callable[..., Tab]) -> None:
    tab = opened(width=390)
    top = tab.page.locator("header").bounding_box()
    assert top is not None
    tab.page.focus("#python")
    for _ in range(40):  # backwards, so that the page moves down under the header
        tab.page.keyboard.press("Shift+Tab")
        if tab.page.inner_text(":focus") == "Skip to the results":  # the first one, on the header
            break
        box = tab.page.locator(":focus").bounding_box()
        assert box is not None
        assert box["y"] >= top["height"] - 1


def luminance(colour: tuple[float, ...]) -> float:
    """Relative luminance of WCAG 2.2."""
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_stands_out_from_its_ground(scheme: int) -> None:
    text = page_files()["style.css"][0].decode()
    block = re.findall(r":root \{(.*?)\}", text, re.DOTALL)[scheme]
    colours = {
        name: tuple(int(value[k : k + 2], 16) / 255 for k in (0, 2, 4))
        for name, value in re.findall(r"--([\w-]+): #(\w{6})", block)
    }
    # The confusion table's darkest cell: 80 % of its colour.
    colours["cell"] = tuple(0.8 * c + 0.2 * p for c, p in zip(colours["confused"], colours["panel"], strict=True))
    for ink, ground in (
        ("ink", "panel"), ("ink", "ground"), ("soft", "panel"), ("soft", "ground"), ("blue", "panel"),
        ("alert", "alert-ground"), ("main-ink", "blue"), ("ink", "cell"),
    ):  # fmt: skip
        assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    for line in ("grey", "orange", "focus"):
        assert contrast(colours[line], colours["panel"]) >= 3.0, line


def test_another_origin_gets_nothing_in_a_browser(browser: Browser, served: Server) -> None:
    page = browser.new_page()
    page.goto("data:text/html,<title>elsewhere</title>")
    script = """async (address) => {
        const tried = [];
        for (const [path, options] of [["", {}], ["api/setup", { method: "POST", body: "{}" }],
                ["api/setup", { method: "POST", body: "{}", headers: { "content-type": "application/json" } }]]) {
            try { await fetch(address + path, options); tried.push("answered"); } catch { tried.push("blocked"); }
        }
        const frame = document.createElement("iframe");
        frame.src = address;
        const loaded = new Promise((resolve) => { frame.onload = resolve; });
        document.body.append(frame);
        await loaded;
        try { return [...tried, frame.contentDocument?.title ?? "blocked"]; } catch { return [...tried, "blocked"]; }
    }"""
    assert page.evaluate(script, served.address) == ["blocked"] * 4
    assert "refused" in page.frames[1].content() or page.frames[1].url.startswith("chrome-error:")
    page.close()


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (1280, "dark")])
def test_nothing_is_cut_off(opened: Callable[..., Tab], width: int, scheme: str) -> None:
    tab = opened(width=width, scheme=scheme)
    for block in tab.page.locator("details").all():
        block.evaluate("block => { block.open = true; }")
    assert tab.page.evaluate("document.scrollingElement.scrollWidth") <= width
    for picture in tab.page.locator("main svg, main canvas").all():
        box = picture.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    unnamed = """[...document.querySelectorAll('input, select')].filter(
        field => !field.labels?.length && !field.getAttribute('aria-label')).length"""
    assert tab.page.evaluate(unnamed) == 0
    names = "[...document.querySelectorAll('svg[role=img], canvas[role=img]')].map(one => one.ariaLabel ?? '')"
    assert all(len(name) > 15 for name in tab.page.evaluate(names))


def test_a_yield_run(opened: Callable[..., Tab], bench: Bench) -> None:
    tab = opened()
    tab.page.fill("#chips", "5")
    tab.page.fill("#specification", "93")
    tab.page.click("#run")
    tab.page.wait_for_selector("#yield-said:has-text('Done')", timeout=60_000)
    trials = list(yields(bench, bench.state({"chip": 1}), YieldRun(chips=5, specification=0.93), Watch()))
    last, worst = trials[-1], min(trials, key=lambda trial: trial["accuracy"])
    text = tab.text("yield-said")
    assert f"5 of 5 chips, {100 * last['yield']:.1f} % reach 93.00 %" in text
    assert f"95 % interval {100 * last['yield_low']:.1f} % to {100 * last['yield_high']:.1f} %" in text
    assert f"chip {worst['seed']}, {100 * worst['accuracy']:.2f} %" in tab.text("worst")
    tab.page.click("#worst button >> nth=0")
    tab.ready(f"chip={worst['seed']}")
    assert tab.text("accuracy-number") == f"{100 * worst['accuracy']:.2f} %"


def wait(until: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_a_run_stops_by_its_button_and_with_its_tab(
    opened: Callable[..., Tab], browser: Browser, served: Server
) -> None:
    # Long windows, and clicks that wait for nothing: on a busy machine a short run is over before a click returns.
    slow, click = "#settle=1000&control=2000", "document.getElementById('run').click()"
    tab, leaving = opened(slow), Tab(browser, served.address + slow)
    for one, leave in ((tab, lambda: tab.page.evaluate(click)), (leaving, leaving.page.close)):
        wait(lambda: served.desk.at_work == 0)
        one.page.fill("#chips", "500")
        one.page.evaluate(click)
        wait(lambda: served.desk.at_work >= 1)
        leave()
        wait(lambda: served.desk.at_work == 0)
    assert tab.text("yield-said").startswith("Stopped")


def test_two_tabs_do_not_mix(opened: Callable[..., Tab], network: af.Network) -> None:
    tabs = [opened("#chip=6&gamma=-0.9"), opened("#chip=7&gamma=-1.2")]
    for tab in tabs:
        tab.page.focus("#k-eps")
        tab.page.keyboard.press("ArrowRight")
    for tab, seed, gamma in zip(tabs, (6, 7), (-0.9, -1.2), strict=True):
        tab.ready("eps=0.01")
        eps = float(tab.page.input_value("#k-eps ~ input[type=number]"))
        assert eps != 0.01
        check_numbers(tab, network, seed, 0, gamma=gamma, eps=eps)
