"""The report of a run: what stands in it against numbers of its own, and what a browser shows of it."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import chromium
import numpy as np
import pytest
from playwright.sync_api import Browser

from analog_fhn.cli import main
from analog_fhn.errors import RunError
from analog_fhn.montecarlo.outcome import read
from analog_fhn.montecarlo.plan import SweepPoint
from analog_fhn.montecarlo.store import Store
from analog_fhn.montecarlo.trial import Trial, chip_seed
from analog_fhn.report.run import html, report

HOSTILE = "<script>alert(1)</script> & \"quotes\" <img src='http://example.org/x.png'>"
N_IMAGES = 200
PLAN = {
    "chips": 6, "images": N_IMAGES, "split": "test", "seed": 4, "readout": None, "gamma": None, "errors": None,
    "settings": {}, "points": None, "grid": None, "backend": "direct", "table": None, "specification": 0.97,
    "until": None, "sensitivity": False,
}  # fmt: skip
TEXT = "network: net.npz\nchips: 6  # <b>not bold</b>\n"


def trial(point: int, k: int, right: int | None, *, message: str = "") -> Trial:
    """Chip k with a number of images answered right; None: failed."""
    if right is None:
        return Trial(point, k, chip_seed(4, k), "failed", message=message, seconds=0.5)
    half = N_IMAGES // 2
    wrong = N_IMAGES - right
    # All mistakes: class 1 taken for class 0.
    counts = [half, 0, wrong, half - wrong]
    accuracy = right / N_IMAGES
    return Trial(
        point, k, chip_seed(4, k), "done", accuracy, accuracy, json.dumps(counts), 1e-5 * (k + 1),
        2e-3 * (k + 1) if k < 3 else None, seconds=0.5,
    )  # fmt: skip


def make(
    folder: Path,
    rows: Sequence[tuple[str, str, Sequence[int | None]]] = (("sweep", "as planned", (196, 198, 195, 190, 197, 196)),),
    *,
    message: str = "",
    nominal: dict[int, float] | None = None,
    plan: dict[str, Any] | None = None,
    **meta: Any,
) -> Path:
    """A run with points of a role, a name, and numbers of right answers per chip."""
    folder.mkdir()
    content: dict[str, Any] = {
        "configuration": {
            "plan": PLAN | (plan or {}), "network": "ab" * 32, "images": "cd" * 32, "labels": "ef" * 32,
            "readout": ["mean", True], "technology": {"name": "discrete", "source": "data sheets"},
            "protocol": {"settle": 100.0, "control": 200.0},
        },
        "accuracy_plain": 0.985, "specification": 0.97, "n_images": N_IMAGES, "n_classes": 2, "images": "my.npz",
        "plan": TEXT, "versions": {"analog-fhn": "0.1.0"}, "dataset": "my.npz",
    }  # fmt: skip
    made = [SweepPoint(k, role, name, {"gamma": -0.5} if k else {}) for k, (role, name, _) in enumerate(rows)]  # type: ignore[arg-type]
    with Store.create(folder, content | meta, made) as store:
        for k, (_, _, chips) in enumerate(rows):
            for number, right in enumerate(chips):
                store.add(trial(k, number, right, message=message))
        for k, value in (nominal or {0: 0.982}).items():
            store.set_nominal(k, value)
    return folder


def groups(folder: Path, **options: Any) -> Path:
    """A run with sensitivity points: resistors cost much, capacitors nothing."""
    rows = [
        ("sweep", "as planned", (192, 193, 194, 191, 192, 193)),
        ("only", "only resistor", (193, 193, 194, 192, 193, 193)),
        ("only", "only capacitor", (197, 196, 197, 196, 196, 197)),
        ("without", "all but resistor", (196, 197, 197, 195, 196, 196)),
        ("without", "all but capacitor", (192, 193, 194, 191, 192, 193)),
    ]
    return make(folder, rows, nominal={0: 0.985}, **options)


def allocation(**changes: Any) -> dict[str, Any]:
    """What `allocate` stores."""
    step = {
        "point": 1, "classes": {"resistor": "5 %", "opamp": "TL082"}, "cost": 12.5, "n_trials": 4, "yield": 1.0,
        "yield_low": 0.51, "yield_high": 1.0, "verdict": "meets",
    }  # fmt: skip
    return {
        "target": 0.9, "specification": 0.97,
        "present": {"classes": {"resistor": "1 %", "opamp": "TL082"}, "cost": 50.0},
        "chosen": {"classes": {"resistor": "5 %", "opamp": "TL082"}, "cost": 12.5}, "steps": [step],
        "confirmation": {"point": 1, "n_trials": 2, "yield": 0.5, "yield_low": 0.0945, "yield_high": 0.9055,
                         "median_accuracy": 0.9675},
        "unpriced": ["sockets"],
    } | changes  # fmt: skip


ALLOCATED = (("sweep", "as planned", ()), ("allocation", "resistor 5 %, opamp TL082", (196, 197, 195, 198, 194, 193)))


class Reader(HTMLParser):
    """Text and tags of a page; checks that tags are closed in their order."""

    VOID = ("meta", "br", "img", "link")

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def parsed(run: Path) -> tuple[Reader, str]:
    """Tags, and text with simple spaces."""
    reader = Reader()
    reader.feed(html(read(run)))
    assert reader.open == []
    return reader, plain_spaces(" ".join(w for w in reader.words))


def plain_spaces(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("\N{NARROW NO-BREAK SPACE}", ""))


def wilson(k: int, n: int) -> tuple[float, float]:
    z, p = 1.959963984540054, k / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


# --- numbers --------------------------------------------------------------------------------------------------


def test_headline_numbers(tmp_path: Path) -> None:
    _, text = parsed(make(tmp_path / "run"))
    # 98, 99, 97.5, 95, 98.5, 98 %: five of six reach 97 %
    low, high = wilson(5, 6)
    assert "Of 6 chips the median one answers 98.00 %" in re.sub(" +", " ", text)
    assert "the worst 95.00 %" in text
    assert "5 of 6 reach the specification of 97.00 %" in text
    assert f"between {100 * low:.2f} and {100 * high:.2f} %" in text
    assert "plain network answers 98.50 %" in text
    assert "the nominal chip, without any spread, 98.20 %" in text
    assert "None of 6 trials failed" in text


def test_quantiles_that_the_table_of_shares_states(tmp_path: Path) -> None:
    rights = [180 + k for k in range(20)]
    _, text = parsed(make(tmp_path / "run", [("sweep", "as planned", rights)], plan={"chips": 20}))
    # 10 of 20 reach 190, 18 reach 182, 19 reach 181, all reach 180
    assert "95.00 91.00 90.50 90.00" in text


def test_confusion_is_of_rows_with_counts(tmp_path: Path) -> None:
    _, text = parsed(make(tmp_path / "run"))
    # mistakes 4 + 2 + 5 + 10 + 3 + 4 = 28 of 600 images of class 1
    assert "1 taken for 0, 4.67 % of the images of class 1" in text
    assert re.search(r"1 4\.67 28 95\.33 572", text)


def test_worst_chips_come_with_their_commands(tmp_path: Path) -> None:
    reader, text = parsed(make(tmp_path / "run"))
    worst = chip_seed(4, 3)
    assert f"95.00 % : chip 3, seed {worst}" in text
    command = (
        f"analog-fhn classify network.npz --dataset my.npz --technology technologies/point_000.yaml --chip {worst} "
        f"--table 9 --images {N_IMAGES}"
    )
    assert command in re.sub(" +", " ", text)
    assert sum(tag == "li" for tag, _ in reader.tags) == 5


def test_largest_errors_of_the_tables(tmp_path: Path) -> None:
    _, text = parsed(make(tmp_path / "run"))
    assert f"interpolation 6.0e-5 6 {chip_seed(4, 5)}" in text
    assert f"finite control window 6.0e-3 3 {chip_seed(4, 2)}" in text


def test_run_without_tables_says_so(tmp_path: Path) -> None:
    run = make(tmp_path / "run", plan={"table": 0})
    with Store(run, write=True) as store:
        store._db.execute("UPDATE trials SET table_error = NULL, window_error = NULL")
    assert "every image was simulated" in parsed(run)[1]


def test_how_it_was_made(tmp_path: Path) -> None:
    _, text = parsed(make(tmp_path / "run"))
    for part in ("chips: 6 # <b>not bold</b>", "ab" * 32, "cd" * 32, "ef" * 32, "analog-fhn 0.1.0", "3 s, wall seconds",
                 "200 (test), my.npz", "discrete (data sheets)", "settling 100.0 T"):  # fmt: skip
        assert part in text


def test_the_same_run_gives_the_same_file(tmp_path: Path) -> None:
    run = groups(tmp_path / "run")
    assert html(read(run)) == html(read(run))


# --- several points -------------------------------------------------------------------------------------------


def test_points_of_the_plan_are_compared(tmp_path: Path) -> None:
    rows = [("sweep", "gamma = -1", (198, 197, 196)), ("sweep", "gamma = -0.5", (192, 195, 190))]
    reader, text = parsed(make(tmp_path / "run", rows, nominal={0: 0.98, 1: 0.96}, plan={"chips": 3}))
    text = re.sub(r" +([,.])", r"\1", text)
    assert "6 chips were drawn, at 2 points" in text
    assert "highest at point 0 (gamma = -1), 100.00 % (95 % interval 43.85 to 100.00 %)" in text
    assert "lowest at point 1 (gamma = -0.5), 33.33 % (95 % interval 6.15 to 79.23 %)" in text
    assert "0: gamma = -1 100.00 43.85 to 100.00 98.50 98.00 98.00 3" in text
    assert "1: gamma = -0.5 33.33 6.15 to 79.23 96.00 95.00 96.00 3" in text
    assert "--gamma -0.5" in text
    assert {tag for tag, _ in reader.tags} >= {"svg"}


def test_many_points_are_tables_not_curves(tmp_path: Path) -> None:
    rows = [("sweep", f"gamma = -{k}", (198 - k % 7, 197)) for k in range(12)]
    reader, text = parsed(make(tmp_path / "run", rows, plan={"chips": 2}))
    pictures = [attributes["aria-label"] for tag, attributes in reader.tags if tag == "svg"]
    assert not any(label is not None and label.startswith("Share of chips") for label in pictures)
    assert "11: gamma = -11" in text
    # convergence of the point that is known least, and the accuracies of all
    assert len(pictures) == 2


# --- sensitivity ----------------------------------------------------------------------------------------------


def test_costliest_group_and_its_interval(tmp_path: Path) -> None:
    _, text = parsed(groups(tmp_path / "run"))
    lost = 0.985 - np.array([193, 193, 194, 192, 193, 193]) / N_IMAGES
    half = 2.570581835636314 * lost.std(ddof=1) / math.sqrt(6)  # Student, 5 degrees of freedom
    stated = f"{100 * lost.mean():.3f} percentage points (95 % interval {100 * (lost.mean() - half):.3f} to"
    assert f"Of the error groups resistor costs most by itself: {stated}" in re.sub(" +", " ", text)
    assert "overlap" not in text
    gained = np.array([4, 4, 3, 4, 4, 3]) / N_IMAGES
    assert re.search(rf"resistor {100 * lost.mean():.3f} [^ ]+ to [^ ]+ {100 * gained.mean():.3f} ", text)
    assert "only resistor" in html(read(tmp_path / "run"))


def test_group_points_do_not_count_in_the_yield(tmp_path: Path) -> None:
    _, text = parsed(groups(tmp_path / "run"))
    # 96, 96.5, 97, 95.5, 96, 96.5 %
    assert "1 of 6 reach the specification" in text


def test_loss_within_chance_is_no_finding(tmp_path: Path) -> None:
    rows = [("sweep", "as planned", (196, 197)), ("only", "only resistor", (197, 196))]
    _, text = parsed(make(tmp_path / "run", rows, nominal={0: 0.983}, plan={"chips": 2}))
    assert "No error group shows a loss beyond chance" in text


REGRESSION = {
    "n_chips": 1000, "n_images": 10000, "explained": 0.6512,
    "terms": [
        {"group": "resistor", "coefficient": 0.97, "low": 0.88, "high": 1.06, "share": 0.4107},
        {"group": "capacitor", "coefficient": None, "low": None, "high": None, "share": 0.0},
    ],
    "components": [["neuron r1 <1>", "resistor", 0.2023], *[[f"neuron r{k}", "resistor", 0.01] for k in range(2, 30)]],
}  # fmt: skip


def test_regression_is_a_table_where_the_run_has_one(tmp_path: Path) -> None:
    _, text = parsed(groups(tmp_path / "run", regression=REGRESSION))
    assert "of 1000 chips (on 10000 images) on these expectations explains 65.12 % of the variance" in text
    assert "resistor 41.07 % 0.97 0.88 to 1.06" in text
    assert "capacitor – –" in text
    assert "neuron r1 <1> resistor 20.23 %" in text
    assert "(10 of 29)" in text
    assert "Regression" not in parsed(groups(tmp_path / "other"))[1]


# --- allocation -----------------------------------------------------------------------------------------------


def test_allocation_is_told_and_judged_on_fresh_chips(tmp_path: Path) -> None:
    run = make(tmp_path / "run", ALLOCATED, allocation=allocation())
    _, text = parsed(run)
    text = re.sub(r" +([,.;])", r"\1", text)
    assert "cost 12.50 instead of 50.00 (−75.00 %); on 2 fresh chips the yield is 50.00 %" in text
    assert "The interval reaches below the target" in text
    assert "resistor 1 % 5 %" in text
    assert "opamp TL082 TL082" in text
    assert "resistor: 5 % 12.50 100.00 51.00 to 100.00 4 meets" in text
    assert "not in the cost: sockets" in text
    # chips 4 and 5 of the chosen point are the fresh ones: 97 and 96.5 %
    assert "Of 2 chips of the chosen classes (drawn to confirm them) the median one answers 96.75 %" in re.sub(
        " +", " ", text
    )
    assert "not finished" not in text


def test_allocation_that_finds_nothing(tmp_path: Path) -> None:
    run = make(tmp_path / "run", ALLOCATED, allocation=allocation(chosen=None, confirmation=None))
    assert "No combination of part classes reaches a yield of 90.00 % at 97.00 %" in parsed(run)[1]


def test_allocation_that_is_under_way(tmp_path: Path) -> None:
    assert "was begun and is not finished" in parsed(make(tmp_path / "run", ALLOCATED))[1]


# --- what went wrong ------------------------------------------------------------------------------------------


def test_failed_trials_are_said_first_and_listed(tmp_path: Path) -> None:
    run = make(tmp_path / "run", [("sweep", "as planned", (196, None, 197, 198, None, 196))], message="no convergence")
    text = re.sub(r" +([,.;])", r"\1", parsed(run)[1])
    assert "2 trials of 6 failed; each counts as a chip that does not pass" in text
    assert "4 of 6 reach the specification" in text
    assert f"no convergence {chip_seed(4, 1)} 1 as planned" in text
    assert text.index("2 trials of 6 failed") < text.index("Of 6 chips")


def test_every_trial_failed(tmp_path: Path) -> None:
    run = make(tmp_path / "run", [("sweep", "as planned", (None, None))], message="singular", plan={"chips": 2})
    text = parsed(run)[1]
    assert "No chip could be simulated" in text
    assert "2 trials of 2 failed" in text


def test_run_that_goes_on_is_said_to(tmp_path: Path) -> None:
    assert (
        "The run is not finished : 4 trials of the plan are still to come"
        in parsed(make(tmp_path / "run", plan={"chips": 10}))[1]
    )


def test_sequential_stopping_is_no_lack_of_chips(tmp_path: Path) -> None:
    run = make(tmp_path / "run", plan={"chips": 100, "until": {"width": 0.9, "every": 6}})
    assert "not finished" not in parsed(run)[1]


def test_text_from_files_stays_text(tmp_path: Path) -> None:
    run = make(
        tmp_path / "<i>run", [("sweep", HOSTILE, (196, None)), ("sweep", "b", (190, 195))], message=HOSTILE,
        images=HOSTILE, dataset=HOSTILE, plan={"chips": 2}, versions={HOSTILE: HOSTILE},
    )  # fmt: skip
    with Store(run, write=True) as store:
        store.set_meta("plan", f"</pre>{HOSTILE}")
    reader, text = parsed(run)
    assert "<script>alert(1)</script>" in text
    assert {tag for tag, _ in reader.tags}.isdisjoint({"script", "img", "i", "link", "iframe", "object", "embed"})


def test_nothing_is_loaded(tmp_path: Path) -> None:
    text = html(read(groups(tmp_path / "run")))
    assert "http:" not in text
    assert "https:" not in text
    reader = Reader()
    reader.feed(text)
    for tag, attributes in reader.tags:
        assert tag not in ("script", "link", "iframe", "img")
        assert "src" not in attributes
        for key in ("href", "xlink:href"):
            assert (attributes.get(key) or "#").startswith("#")
    assert "@import" not in text
    assert all(found == "#" for found in re.findall(r"url\((.)", text))


def test_ids_are_unique_and_links_lead_somewhere(tmp_path: Path) -> None:
    reader, _ = parsed(groups(tmp_path / "run", allocation=allocation()))
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in reader.tags:
        for key in ("href", "xlink:href"):
            if key in attributes:
                assert str(attributes[key])[1:] in ids


def test_file_is_small(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [("sweep", f"gamma = -{k}", rng.integers(180, 200, 300).tolist()) for k in range(8)]
    report(make(tmp_path / "run", rows, plan={"chips": 300}), tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size < 1.5e6


# --- the command ----------------------------------------------------------------------------------------------


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command in this process: its status, and what it wrote to both streams."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["analog-fhn", "report", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return (int(stop.value.code or 0), *capsys.readouterr())

    return run


def test_command_writes_the_file_and_json(command: Command, tmp_path: Path) -> None:
    run, output = make(tmp_path / "run"), tmp_path / "new" / "report.html"
    status, out, err = command(run, "-o", output, "--json", "-")
    assert status == 0, err
    content = json.loads(out)
    assert (content["command"], content["n_trials"], content["n_failed"], content["seed"]) == ("report", 6, 0, 4)
    assert content["points"][0]["yield"] == pytest.approx(5 / 6)
    assert content["bytes"] == output.stat().st_size
    assert output.read_text(encoding="utf-8") == html(read(run))


def test_report_lies_in_the_run_folder_unless_said_otherwise(command: Command, tmp_path: Path) -> None:
    assert command(make(tmp_path / "run"))[0] == 0
    assert (tmp_path / "run" / "report.html").is_file()


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys; from analog_fhn.cli import main; sys.argv = ['analog-fhn', 'report', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print(sorted({'numpy', 'scipy', 'matplotlib', 'numba', 'jinja2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def foreign(folder: Path) -> Path:
    folder.mkdir()
    (folder / "results.sqlite").write_text("no database, but long enough to be taken for one" * 40)
    return folder


def test_refusals_are_one_message(command: Command, tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    (tmp_path / "folder").mkdir()
    empty = make(tmp_path / "empty", [("sweep", "as planned", ())])
    bare = tmp_path / "bare"
    bare.mkdir()
    Store.create(bare, {"plan": ""}, []).close()
    output = tmp_path / "report.html"
    for arguments, message in (
        ((tmp_path / "absent", "-o", output), "holds no run"),
        ((tmp_path / "folder", "-o", output), "holds no run"),
        ((foreign(tmp_path / "foreign"), "-o", output), "cannot be read as a run"),
        ((bare, "-o", output), "says nothing about configuration"),
        ((empty, "-o", output), "no trial is done yet"),
        ((run, "-o", tmp_path / "folder"), "cannot be written"),
        ((run, "-o", run / "results.sqlite" / "report.html"), "cannot be used as a folder"),
    ):
        status, out, err = command(*arguments)
        assert (status, out) == (2, ""), err
        assert message in err
        assert err.count("\n") == 1
    assert not output.exists()


def test_output_that_takes_no_bytes(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="/dev/full: cannot be written"):
        report(make(tmp_path / "run"), Path("/dev/full"))


# --- in a browser ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.started() as started:
        yield started


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that a report can hold, on one page."""
    folder = tmp_path_factory.mktemp("report")
    rows = [
        ("sweep", "resistor.tolerance = 0.01, array.levels = 8, sense_amplifier.offset_sigma = 5e-4", (196, 198, 195)),
        ("sweep", HOSTILE, (190, None, 194)),
        ("only", "only resistor", (193, 192, 194)), ("only", "only capacitor", (197, 196, 197)),
        ("without", "all but resistor", (196, 197, 197)), ("without", "all but capacitor", (195, 198, 195)),
        ("allocation", "resistor 5 %, opamp TL082", (196, 197, 195, 198, 194, 193)),
    ]  # fmt: skip
    changes = {"confirmation": allocation()["confirmation"] | {"point": 6}}
    run = make(
        folder / "run", rows, message=f"{HOSTILE} {'x' * 300}", plan={"chips": 3}, nominal={0: 0.985, 1: 0.97},
        regression=REGRESSION, allocation=allocation(**changes),
    )  # fmt: skip
    report(run, folder / "report.html")
    return folder / "report.html"


@pytest.mark.parametrize("width", [390, 1280])
def test_page_in_a_browser(browser: Browser, page_file: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 844})
    requests: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.goto(page_file.as_uri())
    text = plain_spaces(page.inner_text("main"))
    assert text.startswith("Monte-Carlo run run")
    # 5 of 8 chips of the points and of the fresh ones pass; the headline is a range over the points.
    assert "Yield at 97.00 % 33.33 to 100.00 %" in text
    assert "Worst chip 95.00 % of 8" in text
    assert "Plain network 98.50 % of 200 images" in text
    assert "1 trial of 24 failed" in text
    assert "resistor costs most by itself" in text
    assert "cost 12.50 instead of 50.00" in text
    assert "<script>alert(1)</script>" in text
    assert f"--chip {chip_seed(4, 0)} --gamma -0.5 --table 9 --images 200" in text
    pictures = page.locator("svg").all()
    assert len(pictures) == 5
    for picture in pictures:
        box = picture.bounding_box()
        assert box is not None
        assert box["width"] > 250
        assert box["height"] > 100
        assert box["x"] + box["width"] <= width
        assert picture.locator("path").count() > 10
        assert len(picture.get_attribute("aria-label") or "") > 20
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    assert page.evaluate("document.images.length") == 0
    assert requests == [page_file.as_uri()]
    assert said == []
    page.close()


def test_colours_of_pictures_are_where_they_belong(browser: Browser, page_file: Path) -> None:
    # A picture whose clips or letters were lost with renamed ids would still have a size.
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(page_file.as_uri())
    lost = page.evaluate(
        """[...document.querySelectorAll('svg use')].filter(
             use => !document.querySelector(use.getAttribute('xlink:href') ?? use.getAttribute('href'))
           ).length"""
    )
    assert lost == 0
    letters = page.evaluate("[...document.querySelectorAll('svg use')].filter(u => u.getBBox().width > 0).length")
    assert letters > 300
    page.close()


def test_page_in_print(browser: Browser, page_file: Path, tmp_path: Path) -> None:
    page = browser.new_page(viewport={"width": 794, "height": 1123})
    page.goto(page_file.as_uri())
    page.emulate_media(media="print")
    assert not page.is_visible("nav")
    # A4 less its margins: nothing is cut off at the right.
    page.set_viewport_size({"width": 680, "height": 1000})
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 680
    content = page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    assert content.startswith(b"%PDF")
    assert (tmp_path / "report.pdf").stat().st_size > 20_000
    page.close()
