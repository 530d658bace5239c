"""The layer of devices draws what the chips of a technology have, and lets gradients through."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom, chi2

from analog_fhn.array.crossbar import map_weights
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.technology.technology import Technology
from analog_fhn.training import ArrayDense
from analog_fhn.training.array import RefreshRanges
from analog_fhn.training.fit import keras_on_jax
from analog_fhn.training.programming import ProgrammingTable

WEIGHTS = np.random.default_rng(4).normal(size=(30, 20))
DRAWS = 300


def layer_of(technology: Technology, weights: np.ndarray = WEIGHTS, **options: object) -> object:
    layer = ArrayDense(weights.shape[1], technology.array, **options)
    layer.build((None, len(weights)))
    layer.kernel.assign(weights)
    layer.refresh()
    return layer


def drawn(layer: object, n: int = DRAWS) -> np.ndarray:
    """Weights of n fresh arrays, shape (n, n_in, n_out): what unit vectors give."""
    size = layer.kernel.shape[0]  # type: ignore[attr-defined]
    return np.array([layer(np.eye(size), training=True) for _ in range(n)])  # type: ignore[operator]


def technology(**values: object) -> Technology:
    return Technology.load("discrete").with_values({f"array.{key}": value for key, value in values.items()})


@pytest.mark.parametrize("mapping", ["one-sided", "two-sided"])
@pytest.mark.parametrize("levels", [8, None, [1e-6, 1e-5, 4e-5, 1e-4]])
def test_without_errors_it_is_the_mapping(mapping: str, levels: object) -> None:
    made = technology(programming_error=0.0, mapping=mapping, levels=levels, clip_quantile=0.9)
    wanted = map_weights(WEIGHTS, None, made.array).weights
    assert np.abs(drawn(layer_of(made), 1)[0] - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_outside_training_the_weights_are_as_they_are() -> None:
    layer = layer_of(technology(programming_error=0.5, stuck_on=0.1))
    assert np.allclose(layer(np.eye(30)), WEIGHTS, atol=1e-6)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("discrete", {"array.programming_error": 0.2, "array.read_noise": 0.1}),
        ("discrete", {"array.programming_error": 0.2, "array.mapping": "two-sided"}),
        ("discrete", {"array.programming_error": 0.3, "array.write_tolerance": 0.03}),
        ("memristive", {"array.wires.word": 0.0, "array.wires.bit": 0.0}),
    ],
)
def test_moments_are_those_of_chips(name: str, values: dict[str, object]) -> None:
    made = Technology.load(name).with_values(values).with_errors(["programming", "read_noise", "drift"])
    network = Network.of_weights((WEIGHTS, np.ones((20, 2))))
    design = Design(network, made)
    chips = np.array([design.chip(seed).arrays[0].crossbar.weights for seed in range(DRAWS)])  # type: ignore[index]
    found = drawn(layer_of(made))
    spread = chips.std(axis=0, ddof=1)
    # 600 weights, two means of 300 draws each: 5 sigma of their difference. Programming with 30 % and verification is
    # no normal distribution; its moments are tabulated all the same.
    error = np.sqrt((chips.var(axis=0) + found.var(axis=0)) / DRAWS) + 2e-3 * np.abs(WEIGHTS).max()
    assert np.all(np.abs(found.mean(axis=0) - chips.mean(axis=0)) < 5.0 * error)
    # 600 x 299 degrees of freedom in each: the ratio of the pooled variances has a sigma of 0.3 %, more where few
    # weights have most of it; each weight's own ratio of deviations has one of 6 %.
    assert 0.96 < found.var(axis=0, ddof=1).sum() / (spread**2).sum() < 1.04
    some = spread > 1e-3 * np.abs(WEIGHTS).max()
    ratio = found.std(axis=0, ddof=1)[some] / spread[some]
    assert np.all((ratio > 0.7) & (ratio < 1.4))


def test_faults_are_as_frequent_and_as_large_as_asked() -> None:
    made = technology(programming_error=0.0, stuck_on=0.03, stuck_off=0.05, clip_quantile=1.0, levels=None)
    layer = layer_of(made, np.full((100, 100), 0.5) * np.where(np.eye(100), 2.0, 1.0))
    w = drawn(layer, 4)
    off_diagonal = w[:, ~np.eye(100, dtype=bool)]
    n = off_diagonal.size
    # g+ = 0.5, g- = 0 in units of the largest weight: + stuck on gives 1, - stuck on -0.5, + stuck off 0.
    for value, share in ((1.0, 0.03), (-0.5, 0.03), (0.0, 0.05)):
        count = int(np.sum(np.abs(off_diagonal - value) < 1e-4))
        low, high = binom.ppf([1e-5, 1 - 1e-5], n, share)
        assert low <= count <= high, (value, count)


def test_strength_scales_errors_and_faults() -> None:
    layer = layer_of(technology(programming_error=0.2, stuck_on=0.05, levels=None))
    full = drawn(layer, 40).var(axis=0).sum()
    layer.strength.assign(0.0)  # type: ignore[attr-defined]
    assert drawn(layer, 4).var(axis=0).max() < 1e-10
    layer.strength.assign(0.5)  # type: ignore[attr-defined]
    # Variance of errors to a quarter, that of faults to a half.
    assert 0.2 * full < drawn(layer, 40).var(axis=0).sum() < 0.6 * full


def test_gradients_go_straight_through_levels_and_stop_at_stuck_devices() -> None:
    import jax

    made = technology(programming_error=0.0, levels=4, clip_quantile=1.0)
    layer = layer_of(made)
    inputs = np.random.default_rng(0).normal(size=(5, 30)).astype(np.float32)

    def total(kernel: object) -> object:
        return (inputs @ layer._drawn(kernel)).sum()  # type: ignore[attr-defined]

    kernel = layer.kernel.value  # type: ignore[attr-defined]
    wanted = np.repeat(inputs.sum(axis=0)[:, None], 20, axis=1)
    assert np.allclose(jax.grad(total)(kernel), wanted, rtol=1e-4, atol=1e-4)
    stuck = layer_of(technology(programming_error=0.0, stuck_on=0.5, stuck_off=0.5, levels=None))

    def stuck_total(kernel: object) -> object:
        return (inputs @ stuck._drawn(kernel)).sum()  # type: ignore[attr-defined]

    # One device of every pair is stuck: where it is the one that carries the weight, nothing moves.
    zero = np.asarray(jax.grad(stuck_total)(kernel)) == 0.0
    assert 0.4 < zero.mean() < 0.6


@pytest.mark.parametrize("levels", [None, 8])
def test_devices_without_conductance_have_a_gradient(levels: int | None) -> None:
    import jax

    made = technology(g_min=0.0, programming_error=0.2, levels=levels, clip_quantile=1.0)
    weights = np.where(np.arange(20) < 3, 0.0, WEIGHTS)
    layer, same = (layer_of(made, weights, seed=2) for _ in range(2))

    def total(kernel: object) -> object:
        return layer._drawn(kernel).sum()  # type: ignore[attr-defined]

    found = np.asarray(jax.grad(total)(layer.kernel.value))  # type: ignore[attr-defined]
    assert np.isfinite(found).all()
    if levels is None:  # a pair is its weight times 1 + error then, or nothing at all
        one = weights == 0.0
        wanted = np.where(one, 1.0, drawn(same, 1)[0] / np.where(one, 1.0, weights))
        assert np.allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_offsets_of_one_chip_are_added() -> None:
    made, offsets = technology(programming_error=0.0), np.arange(1.0, 21.0)[None]
    zero = np.zeros((1, 30))
    assert np.array_equal(layer_of(made, offsets=offsets)(zero, training=True), offsets)  # type: ignore[operator]
    assert np.array_equal(layer_of(made)(zero, training=True), np.zeros((1, 20)))  # type: ignore[operator]
    for wrong in (offsets[0], offsets[:, :3], offsets[:0]):
        with pytest.raises(InputError, match=r"offsets have shape .*; expected \(n_chips, 20\)"):
            layer_of(made, offsets=wrong)


def test_files_that_have_zeros_for_no_offsets_are_read() -> None:
    made = technology(programming_error=0.2)
    layer = layer_of(made, seed=3)
    config = layer.get_config()  # type: ignore[attr-defined]
    assert config["offsets"] is None
    for offsets in (None, [[0.0] * 20]):
        read = ArrayDense.from_config(config | {"offsets": offsets})
        assert read.get_config() == config
    read.build((None, 30))
    read.kernel.assign(WEIGHTS)
    read.refresh()
    assert np.array_equal(drawn(read, 2), drawn(layer, 2))


def test_offsets_are_drawn_from_the_chips() -> None:
    offsets = np.random.default_rng(0).normal(size=(50, 20)) + 3.0
    layer = layer_of(technology(programming_error=0.0), offsets=offsets)
    found = np.array([layer(np.zeros((1, 30)), training=True)[0] for _ in range(200)])  # type: ignore[operator]
    for k in range(20):
        assert set(np.round(found[:, k], 5)) <= set(np.round(offsets[:, k].astype(np.float32), 5))
    assert np.allclose(layer(np.zeros((1, 30))), 0.0)  # type: ignore[operator]


def test_same_seed_same_arrays() -> None:
    made = technology(programming_error=0.2, stuck_off=0.02)
    assert np.array_equal(drawn(layer_of(made, seed=3), 2), drawn(layer_of(made, seed=3), 2))
    assert not np.array_equal(drawn(layer_of(made, seed=3), 1), drawn(layer_of(made, seed=4), 1))


def test_weights_are_kept_within_their_deviations() -> None:
    layer = layer_of(technology(), clip_sigma=1.5)
    clipped = np.asarray(layer.kernel.constraint(layer.kernel))  # type: ignore[attr-defined]
    assert np.abs(clipped).max() == pytest.approx(1.5 * WEIGHTS.std(), rel=1e-5)
    inner = np.abs(WEIGHTS) < 1.49 * WEIGHTS.std()
    assert np.allclose(clipped[inner], WEIGHTS[inner], atol=1e-6)


def test_made_is_a_table_of_the_technology() -> None:
    made = ProgrammingTable.of(technology(programming_error=0.1).array, 300.0)
    n = 4000
    low, high = chi2.ppf([1e-5, 1 - 1e-5], n - 1) / (n - 1)
    ratio = (made.deviation / (0.1 * made.target)) ** 2
    assert np.all((ratio > low) & (ratio < high))
    assert np.all(np.abs(made.mean / made.target - 1.0) < 5 * 0.1 / np.sqrt(n))


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras, of its own variables
def test_a_model_with_the_layer_survives_its_file_and_is_copied(tmp_path: Path) -> None:
    keras = keras_on_jax()
    made = Technology.load("memristive")
    layer = ArrayDense(3, made.array, clip_sigma=1.5, offsets=np.ones((4, 3)), layer=1, seed=5)
    model = keras.Sequential([keras.Input((6,)), layer])
    model.save(tmp_path / "model.keras")
    inputs = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for training in (False, True):
        wanted = np.asarray(model(inputs, training=training))
        for other in (loaded, copy):
            assert np.array_equal(other(inputs, training=training), wanted)
    assert loaded.layers[0].get_config() == layer.get_config()


def test_the_callback_finds_the_largest_weights_again() -> None:
    keras = keras_on_jax()
    layers = [ArrayDense(5, technology(clip_quantile=1.0).array) for _ in range(2)]
    inner = keras.Sequential([keras.Input((5,)), layers[1]])
    model = keras.Sequential([keras.Input((4,)), layers[0], inner])
    model.compile("sgd", "mse")
    for layer in layers:
        layer.kernel.assign(3.0 * np.ones(layer.kernel.shape))
        assert float(layer.largest.value) != 3.0
    model.fit(np.zeros((2, 4)), np.zeros((2, 5)), epochs=1, verbose=0, callbacks=[RefreshRanges()])
    assert [float(layer.largest.value) for layer in layers] == [3.0, 3.0]
