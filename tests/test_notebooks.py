"""The notebooks run, and their pages in the documentation show what they yield."""

from __future__ import annotations

import importlib.util
import io
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real_recordings import FOLDER, real
from silicon import needs_models

from analog_fhn.training.fit import keras_on_jax

pytest.importorskip("marimo")
pytest.importorskip("jax")
ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.py"))
PAGES = ROOT / "docs" / "tutorials"
NUMBER = re.compile(r"\d+(?:\.\d+)?")
# Elsewhere sums of floats come in another order, training gives other last digits, and an image may change its class;
# with another number of threads, too, but less.
SAME_KIND = platform.system() == "Linux" and platform.machine() == "x86_64"
LARGEST_PICTURE, LARGEST_IN_ALL = 150_000, 2_000_000
SMALL = """
import marimo

app = marimo.App()


@app.cell(hide_code=True)
def _(mo):
    mo.md(r'''
    # Small

    $x^2$ & <b>
    ''')
    return


@app.cell
def _():
    import marimo as mo

    return (mo,)


@app.cell
def _():
    value = 6 * 7
    f"<{value}>"
    return (value,)
"""


@pytest.fixture(scope="module")
def pages() -> Any:
    """The program that makes the pages."""
    spec = importlib.util.spec_from_file_location("notebook_pages", ROOT / "docs" / "notebooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


# The page about a living neuron shows one; as a script its notebook does with a simulated neuron.
NEEDS = {"chip_of_transistors": [needs_models], "living_neuron": [real]}
EACH = [pytest.param(path, id=path.stem, marks=NEEDS.get(path.stem, [])) for path in NOTEBOOKS]
SCRIPTS = [
    pytest.param(path, id=path.stem, marks=[needs_models] if path.stem == "chip_of_transistors" else [])
    for path in NOTEBOOKS
]


# Keras hands its variables to NumPy in the old way.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
@pytest.mark.parametrize("path", EACH)
def test_a_page_shows_what_its_notebook_yields(path: Path, pages: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("ANALOG_FHN_RECORDING", str(FOLDER / "171116sh_0018.abf"))
    keras_on_jax().utils.clear_session()  # which numbers the names of layers from the beginning
    made = pages.page(path)
    written = (PAGES / f"{path.stem}.md").read_text(encoding="utf-8")
    again = f"python docs/notebooks.py {path.stem} writes the page anew"
    assert NUMBER.sub("0", made.text) == NUMBER.sub("0", written), again
    if SAME_KIND:
        numbers, kept_numbers = (np.array(NUMBER.findall(text), float) for text in (made.text, written))
        np.testing.assert_allclose(numbers, kept_numbers, rtol=0.1, atol=2.0, err_msg=again)
    kept = {one.name: one.read_bytes() for one in (PAGES / "images").glob(f"{path.stem}-*.png")}
    assert made.pictures.keys() == kept.keys(), again
    for name, content in kept.items():
        assert far_apart(made.pictures[name], content) < (3.0 if SAME_KIND else 40.0), f"{name}: {again}"


def far_apart(one: bytes, other: bytes) -> float:
    """Mean difference of two pictures, from 0 to 255; they may differ by a few pixels in size."""
    from PIL import Image

    first = Image.open(io.BytesIO(one)).convert("L")
    second = Image.open(io.BytesIO(other)).convert("L")
    assert np.abs(np.subtract(first.size, second.size)).max() <= 4
    values = (np.asarray(image.resize(first.size), dtype=np.float64) for image in (first, second))
    return float(np.abs(np.subtract(*values)).mean())


def test_pictures_are_told_apart() -> None:
    paths = sorted((PAGES / "images").glob("*.png"))[:2]
    one, other = (path.read_bytes() for path in paths)
    assert far_apart(one, one) == 0.0
    with pytest.raises(AssertionError):
        assert far_apart(one, other) < 3.0


def test_pages_and_pictures_are_those_of_the_notebooks_and_small() -> None:
    names = {path.stem for path in NOTEBOOKS}
    assert {path.stem for path in PAGES.glob("*.md")} >= names
    pictures = list((PAGES / "images").iterdir())
    assert {path.stem.rsplit("-", 1)[0] for path in pictures} <= names
    sizes = [path.stat().st_size for path in pictures]
    assert max(sizes) < LARGEST_PICTURE
    assert sum(sizes) < LARGEST_IN_ALL


def test_prose_code_and_outputs_are_told_apart(pages: Any, tmp_path: Path) -> None:
    path = tmp_path / "small.py"
    path.write_text(SMALL)
    prose, hidden, code = pages.cells(path)
    assert prose.prose == "# Small\n\n$x^2$ & <b>"
    assert (hidden.prose, hidden.code) == (None, "import marimo as mo")
    assert code.code == 'value = 6 * 7\nf"<{value}>"'
    outputs, values = pages.load(path).app.run()
    assert outputs[2] == "<42>"
    assert values["value"] == 42


@pytest.mark.slow
@pytest.mark.parametrize("path", SCRIPTS)
def test_a_notebook_runs_as_a_script(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANALOG_FHN_RECORDING", raising=False)
    done = subprocess.run([sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
