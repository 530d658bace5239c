"""Reconstructions in files: everything comes back, and nothing else is taken for one."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analog_fhn.errors import InputError
from analog_fhn.reconstruct.model.autoencoder import Autoencoder
from analog_fhn.reconstruct.model.embedding import Embedding
from analog_fhn.reconstruct.model.maps import NeuralMap, PolynomialMap
from analog_fhn.reconstruct.model.reconstruction import Reconstruction
from analog_fhn.reconstruct.model.states import Coordinates
from analog_fhn.reconstruct.rhythm import Levels

LATENT, DIMENSION = 2, 5


def made(polynomial: bool = False) -> Reconstruction:
    """Of drawn numbers; it runs, and that is all."""
    rng = np.random.default_rng(0)

    def layers(*sizes: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        shapes = pairwise(sizes)
        return tuple((rng.normal(size=shape), rng.normal(size=shape[1])) for shape in shapes)

    voltage = rng.normal(-0.05, 0.01, 200)
    neural = NeuralMap(*(0.3 * rng.normal(size=shape) for shape in ((2, 6), (6,), (6,), (6, 2), (2,))))
    powers = np.array([[a, b, c] for a in range(2) for b in range(2) for c in range(2)])
    return Reconstruction(
        Embedding.spread([voltage], DIMENSION, 20),
        Autoencoder(layers(DIMENSION, 7, 4, 2 * LATENT), layers(LATENT, 4, 7, DIMENSION)),
        Coordinates(rng.normal(size=2), rng.normal(size=(2, 2)), rng.uniform(0.1, 1.0, 2)),
        PolynomialMap(powers, 0.1 * rng.normal(size=(8, 2))) if polynomial else neural,
        1e-2,
        Levels(-0.06, -0.02),
        rng.normal(size=(3, 2)),
        np.ones(3),
        {"latent": 2, "sources": ["drawn"], "nested": {"seed": 0, "none": None}},
    )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "twin.npz"
    made().save(path)
    return path


def changed(path: Path, entries: dict[str, Any] | None = None, /, **arrays: Any) -> Path:
    """A copy of a file with entries of meta and arrays replaced, or left out where None."""
    with np.load(path) as file:
        held = {name: file[name] for name in file.files} | arrays
    if entries is not None:
        kept = json.loads(str(held["meta"])) | entries
        held["meta"] = np.array(json.dumps({key: value for key, value in kept.items() if value is not None}))
    other = path.with_name("other.npz")
    np.savez(other, **{name: values for name, values in held.items() if values is not None})
    return other


def refused(path: Path, message: str | None = None) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Reconstruction.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("polynomial", [False, True], ids=["neural", "polynomial"])
def test_everything_comes_back(tmp_path: Path, polynomial: bool) -> None:
    path, one = tmp_path / "twin.npz", made(polynomial)
    one.save(path)
    other = Reconstruction.load(path)
    assert type(other.state_map) is type(one.state_map)
    for part in ("embedding", "coordinates", "state_map"):
        for name, values in vars(getattr(one, part)).items():
            found = getattr(getattr(other, part), name)
            assert np.array_equal(found, values)
            assert found.dtype == values.dtype
    for part in ("encoder", "decoder"):
        pairs = zip(getattr(one.autoencoder, part), getattr(other.autoencoder, part), strict=True)
        assert all(np.array_equal(a, b) for first, second in pairs for a, b in zip(first, second, strict=True))
    assert np.array_equal(other.starts, one.starts)
    assert np.array_equal(other.control, one.control)
    assert (other.step, other.levels, other.notes) == (one.step, one.levels, one.notes)
    assert np.array_equal(other.run(0.5, 1.1), one.run(0.5, 1.1), equal_nan=True)


def test_states_and_voltage_go_through_all_parts() -> None:
    one, vectors = made(), np.random.default_rng(1).normal(size=(4, DIMENSION))
    u = (one.autoencoder.encode(vectors) - one.coordinates.centre) @ one.coordinates.transform
    assert one.states(vectors) == pytest.approx(u, rel=1e-5, abs=1e-6)
    decoded = one.autoencoder.decode(one.autoencoder.encode(vectors))[:, 0]
    expected = decoded * one.embedding.deviations[0] + one.embedding.means[0]
    assert one.voltage(u) == pytest.approx(expected, rel=1e-6)


def test_runs_start_where_asked() -> None:
    one = made()
    assert one.run(0.3).shape == (3, 30)
    first = one.state_map.step(one.starts, 1.0)
    assert one.run(0.3)[:, 0] == pytest.approx(one.voltage(first), rel=1e-6)
    assert one.run(0.3, start=one.starts[1:2]) == pytest.approx(one.run(0.3)[1:2], rel=1e-6)


def test_the_control_is_that_of_the_recording() -> None:
    one = replace(made(), control=np.full(3, -0.5))
    assert np.array_equal(one.run(0.3), one.run(0.3, -0.5))
    assert not np.array_equal(one.run(0.3), one.run(0.3, 1.0))
    for duration in (-1.0, np.nan, np.inf):
        with pytest.raises(InputError, match="duration"):
            one.run(duration)


def test_several_controls_take_the_starts_in_turn() -> None:
    one, p = made(), np.array([0.9, 1.0, 1.1, 1.2])
    runs = one.run(0.3, p)
    assert runs.shape == (4, 30)
    for k in range(4):
        assert runs[k] == pytest.approx(one.run(0.3, p[k], one.starts[[k % 3]])[0], rel=1e-6)


def test_runs_start_from_what_was_recorded_nearby() -> None:
    one = replace(made(), control=np.array([0.0, 0.0, 2.0]))
    assert np.array_equal(one.starts_near(0.9), one.starts[:2])
    assert np.array_equal(one.starts_near(1.1), one.starts[2:])
    assert one.run(0.3, 2.0) == pytest.approx(one.run(0.3, 2.0, one.starts[2:]), rel=1e-6)
    p = np.array([-1.0, 3.0, 0.0, 0.5])
    assert one.run(0.3, p) == pytest.approx(one.run(0.3, p, one.starts[[0, 2, 0, 1]]), rel=1e-6)


def test_a_missing_file(tmp_path: Path) -> None:
    refused(tmp_path / "none.npz", "cannot be read")


def test_a_text(tmp_path: Path) -> None:
    path = tmp_path / "text.npz"
    path.write_text("time,voltage\n0,1\n")
    refused(path, "is no .npz file")


@pytest.mark.parametrize("share", [0.2, 0.7, 0.99])
def test_a_cut_file(saved: Path, share: float) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[: round(share * len(whole))])
    refused(saved, "is damaged")


def test_a_changed_byte(saved: Path) -> None:
    whole = bytearray(saved.read_bytes())
    for place in range(500, 1500, 7):
        whole[place] ^= 0xFF
    saved.write_bytes(bytes(whole))
    refused(saved, "is damaged")


def test_pickled_objects(tmp_path: Path) -> None:
    path = tmp_path / "pickled.npz"
    np.savez(path, meta=np.array([{"kind": "a reconstruction"}], dtype=object))
    refused(path, "pickled")


def test_arrays_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "network.npz"
    np.savez(path, w0=np.ones((3, 2)))
    refused(path, "no 'meta' in it")


def test_a_file_of_another_command(saved: Path) -> None:
    refused(changed(saved, {"kind": "a network"}), "is not a reconstruction, but 'a network'")


def test_meta_that_is_no_json(saved: Path) -> None:
    refused(changed(saved, None, meta=np.array("{")), "cannot be read")
    refused(changed(saved, None, meta=np.array("[1, 2]")), "holds no names and values")


@pytest.mark.parametrize("number", [0, 2, "1"])
def test_another_format(saved: Path, number: object) -> None:
    refused(changed(saved, {"format": number}), "this version reads format 1")


@pytest.mark.parametrize("name", ["lags", "centre", "map_alpha", "encoder_2_weights", "decoder_0_biases", "starts"])
def test_an_array_left_out(saved: Path, name: str) -> None:
    refused(changed(saved, **{name: None}), f"'{name}' is missing")


@pytest.mark.parametrize("key", ["format", "map", "step", "levels", "layers", "notes"])
def test_an_entry_left_out(saved: Path, key: str) -> None:
    refused(changed(saved, {key: None}), f"'{key}' is missing")


@pytest.mark.parametrize("name", ["means", "transform", "map_big_b", "encoder_0_weights", "starts"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number(saved: Path, name: str, value: float) -> None:
    with np.load(saved) as file:
        values = file[name].copy()
    values.flat[0] = value
    refused(changed(saved, **{name: values}), "NaN or infinite")


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("means", (4,)),
        ("transform", (2, 3)),
        ("transform", (3, 3)),
        ("map_a", (3, 6)),
        ("map_b", (5,)),
        ("map_c", (3,)),
        ("encoder_1_weights", (7, 5)),
        ("decoder_2_weights", (6, 5)),
        ("starts", (3, 3)),
        ("starts", (2,)),
        ("control", (2,)),
    ],
)
def test_shapes_that_do_not_fit(saved: Path, name: str, shape: tuple[int, ...]) -> None:
    refused(changed(saved, **{name: np.ones(shape)}))


@pytest.mark.parametrize(
    "meta",
    [{"step": -1.0}, {"step": "fast"}, {"levels": [0.0, -1.0]}, {"levels": [1.0]}, {"layers": [3]}, {"map": "cubic"}],
)
def test_settings_that_make_no_sense(saved: Path, meta: dict[str, Any]) -> None:
    refused(changed(saved, meta))


def test_notes_do_not_change_the_neuron(tmp_path: Path) -> None:
    path = tmp_path / "twin.npz"
    replace(made(), notes={}).save(path)
    assert Reconstruction.load(path).notes == {}
