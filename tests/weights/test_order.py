"""The order of layers that have nothing but names: never that of the alphabet."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from analog_fhn import weights
from analog_fhn.errors import InputError
from analog_fhn.weights.order import in_order

RNG = np.random.default_rng(3)
HERE = Path("net.safetensors")


def order(sizes: dict[str, tuple[int, int]], *, stored: bool = False) -> list[str]:
    return in_order(sizes, HERE, stored=stored)[0]


def outputs(weight: dict[str, np.ndarray], images: np.ndarray) -> np.ndarray:
    """Scores of the true network, layer by layer; weights (out, in) as PyTorch has them."""
    *hidden, last = weight.values()
    for w in hidden:
        images = 1.0 / (1.0 + np.exp(-images @ w.T))
    return images @ last.T


@pytest.fixture
def square() -> dict[str, np.ndarray]:
    """A network whose order neither names nor shapes tell; that of the alphabet would be another one."""
    shapes = {"input": (6, 6), "hidden": (6, 6), "output": (4, 6)}
    return {f"{name}.weight": RNG.normal(size=shape) for name, shape in shapes.items()}


def test_layers_of_an_npz_come_in_the_order_in_which_they_were_saved(
    square: dict[str, np.ndarray], tmp_path: Path
) -> None:
    np.savez(tmp_path / "net.npz", **square)  # type: ignore[arg-type]
    trained = weights.read(tmp_path / "net.npz")
    images = RNG.normal(size=(20, 6))
    network = weights.to_network(trained, hidden="sigmoid")
    np.testing.assert_allclose(network.forward(images), outputs(square, images), atol=1e-12)


def test_the_order_of_the_file_is_noted(square: dict[str, np.ndarray], tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", **square)  # type: ignore[arg-type]
    assert weights.read(tmp_path / "net.npz").notes == (
        "order of the layers: input, hidden, output, as in the file (their names tell none)",
    )


def test_an_open_order_is_refused(square: dict[str, np.ndarray], tmp_path: Path) -> None:
    save_file(square, tmp_path / "net.safetensors")
    with pytest.raises(InputError, match="the order of the layers is open: the names hidden, input, output tell none"):
        weights.read(tmp_path / "net.safetensors")


def test_the_only_order_that_fits_is_taken_and_noted(tmp_path: Path) -> None:
    shapes = {"z_first": (5, 6), "middle": (7, 5), "a_last": (4, 7)}
    save_file({f"{name}.weight": RNG.normal(size=shape) for name, shape in shapes.items()}, tmp_path / "net.bin")
    trained = weights.read(tmp_path / "net.bin")
    assert [w.shape for w in trained.weights] == [(6, 5), (5, 7), (7, 4)]
    assert trained.notes == (
        "order of the layers: z_first, middle, a_last, the only one in which they follow each other",
    )


@pytest.mark.parametrize(
    "names",
    [
        ["fc1", "fc2", "fc10"],
        ["hidden", "hidden_1", "hidden_2"],
        ["net.0", "net.2", "net.10"],
        ["layer1.out", "layer2.linear", "layer3.a"],
        ["b1.fc2", "b2.fc1", "b2.fc2"],
    ],
)
def test_numbers_tell_the_order_whatever_the_shapes(names: list[str]) -> None:
    assert in_order(dict.fromkeys(sorted(names, reverse=True), (4, 4)), HERE, stored=False) == (names, "")


def test_numbers_go_before_the_order_of_the_file() -> None:
    assert order({"fc2": (4, 4), "fc1": (4, 4)}, stored=True) == ["fc1", "fc2"]


@pytest.mark.parametrize(
    ("expected", "sizes"),
    [
        (["fc1", "fc2", "out"], [(4, 4), (4, 4), (4, 3)]),
        (["hidden", "hidden_1", "a_output"], [(6, 4), (4, 4), (4, 3)]),
        (["encoder.0", "encoder.2", "decoder.0", "decoder.2"], [(6, 5), (5, 4), (4, 5), (5, 7)]),
        ([*(f"fc{k}" for k in range(20)), "a"], [*[(4, 4)] * 20, (4, 3)]),
    ],
)
def test_numbers_of_some_and_shapes_of_the_others(expected: list[str], sizes: list[tuple[int, int]]) -> None:
    shapes = dict(zip(expected, sizes, strict=True))
    assert order({name: shapes[name] for name in sorted(expected)}) == expected


@pytest.mark.parametrize("names", [["fc1", "fc2", "out"], ["fc_1", "fc.1"], ["fc01", "fc1"], ["encoder", "decoder"]])
def test_square_layers_that_numbers_do_not_order_are_refused(names: list[str]) -> None:
    with pytest.raises(InputError, match="the order of the layers is open"):
        order(dict.fromkeys(names, (4, 4)))


def test_a_stored_order_that_contradicts_the_numbers_is_not_taken() -> None:
    with pytest.raises(InputError, match="the order of the layers is open"):
        order({"fc2": (4, 4), "fc1": (4, 4), "out": (4, 4)}, stored=True)


def test_many_names_without_an_order_are_refused_at_once() -> None:
    start = time.process_time()
    with pytest.raises(InputError, match="the order of the layers is open"):
        order({f"{chr(97 + k % 26)}{'x' * k}": (4, 4) if k < 39 else (5, 6) for k in range(40)})
    with pytest.raises(InputError, match="the names of its 70 layers tell no order"):
        order({"x" * k: (4, 4) for k in range(1, 71)})
    assert time.process_time() - start < 5.0
