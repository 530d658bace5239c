"""Convolutional networks and relu on chips: against SciPy's correlation, sums written out, and simulated waveforms."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import correlate
from scipy.stats import chi2

from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.table.backend import Table
from analog_fhn.chip import Chip, HiddenLayer, ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.hold import Hold, add_samples
from analog_fhn.inference import activations, classify, classify_all, held, hidden_response, layer_values, passes
from analog_fhn.montecarlo.slopes import HOLDS, Component, Labelled, Slopes
from analog_fhn.network import Convolution, Dense, Layer, Network, Pointwise
from analog_fhn.neuron import FHN, FloatArray, Protocol
from analog_fhn.patches import PLAIN, AveragePool, Front, Patches
from analog_fhn.technology.technology import Technology

DISCRETE = Technology.load("discrete")
SHORT = Protocol(settle=20.0, control=40.0)


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


IMAGES = rng().random((6, 12 * 12))


def cnn(units: tuple[str, str] = ("relu", "sigmoid"), **settings: Any) -> Network:
    """12x12 -> 3 channels of 3x3 with a border -> means of 2x2 -> 4 channels of 3x3, every second line -> 5 classes."""
    random = rng()
    ceilings = [2.0 if unit == "relu" else None for unit in units]
    layers: tuple[Layer, ...] = (
        Convolution.of_kernel(
            random.normal(size=(3, 3, 1, 3)), Patches((12, 12, 1), (3, 3), padding=((1, 1), (1, 1))),
            0.2 * random.normal(size=3), units[0], ceilings[0],  # type: ignore[arg-type]
        ),
        AveragePool((12, 12, 3), (2, 2), (2, 2)),
        Convolution.of_kernel(
            random.normal(size=(3, 3, 3, 4)) / 3.0, Patches((6, 6, 3), (3, 3), (2, 1)),
            None, units[1], ceilings[1],  # type: ignore[arg-type]
        ),
        Dense(random.normal(size=(2 * 4 * 4, 5)), random.normal(size=5)),
    )  # fmt: skip
    slope = 0.5 if units[0] == "sigmoid" else 1.0
    return Network(layers, **({"protocol": SHORT, "fhn": FHN(slope=slope)} | settings))


def deep_relu(ceiling: float = 3.0) -> Network:
    random = rng()
    shapes = ((144, 12), (12, 8), (8, 5))
    w = [random.normal(size=shape) / np.sqrt(shape[0] / 4) for shape in shapes]
    first, second = (Dense(w[k], 0.1 * random.normal(size=len(w[k][0])), "relu", "tanh", ceiling) for k in (0, 1))
    return Network((first, second, Dense(w[2])), fhn=FHN(slope=1.0), protocol=SHORT)


# --- patches ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dilation", [(1, 1), (2, 1)])
@pytest.mark.parametrize("padding", [((0, 0), (0, 0)), ((1, 2), (0, 3))])
@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
def test_patches_times_a_kernel_are_a_correlation(
    strides: tuple[int, int], padding: Any, dilation: tuple[int, int]
) -> None:
    random = rng()
    shape, size = (9, 11, 2), (3, 2)
    patches = Patches(shape, size, strides, padding, dilation, fill=(0.5, -1.0))
    image, kernel = random.normal(size=shape), random.normal(size=(*size, 2, 4))
    padded = np.stack(
        [np.pad(image[..., c], padding, constant_values=(0.5, -1.0)[c]) for c in range(2)], axis=-1
    )  # fmt: skip
    wide = np.zeros(((size[0] - 1) * dilation[0] + 1, (size[1] - 1) * dilation[1] + 1, 2, 4))
    wide[:: dilation[0], :: dilation[1]] = kernel
    expected = np.stack([correlate(padded, wide[..., k], "valid")[..., 0] for k in range(4)], axis=-1)
    expected = expected[:: strides[0], :: strides[1]]
    found = patches.take(image.reshape(1, -1)) @ kernel.reshape(-1, 4)
    assert patches.positions == expected.shape[:2]
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-12)


@pytest.mark.parametrize("count_padding", [False, True])
def test_pooling_is_the_mean_of_what_is_there(count_padding: bool) -> None:
    pool = AveragePool((5, 4, 2), (3, 2), (2, 2), ((1, 1), (0, 0)), count_padding)
    values = rng().normal(size=(2, 5, 4, 2))
    expected = np.empty((2, *pool.output_shape))
    for i, j in product(range(pool.positions[0]), range(pool.positions[1])):
        lines = [k for k in range(2 * i - 1, 2 * i + 2) if 0 <= k < 5]
        window = values[:, lines, 2 * j : 2 * j + 2]
        expected[:, i, j] = window.sum(axis=(1, 2)) / (6 if count_padding else 2 * len(lines))
    np.testing.assert_allclose(pool(values.reshape(2, -1)), expected.reshape(2, -1), atol=1e-14)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Patches((4, 4, 1), (5, 3)), "does not fit into 4 x 4 values"),
        (lambda: Patches((4, 4, 1), (3, 3), (0, 1)), "strides (0, 1): expected 2 whole numbers from 1"),
        (lambda: Patches((4, 4), (3, 3)), "shape (4, 4): expected 3 whole numbers from 1"),  # type: ignore[arg-type]
        (lambda: Patches((4, 4, 2), (3, 3), fill=(1.0, 2.0, 3.0)), "expected a number, or 2, one per channel"),
        (lambda: Patches((4, 4, 2), (3, 3), fill=np.nan), "Patches fill nan"),
        (lambda: Patches((5000, 5000, 1), (3, 3)), "25000000 values; expected at most 16777216"),
        (lambda: AveragePool((4, 4, 1), (2, 2), padding=((2, 0), (0, 0))), "expected less than its size, (2, 2)"),
        (lambda: Convolution(np.ones((9, 2)), None, "relu", "tanh", 1.0), "convolution with patches None"),
        (
            lambda: Convolution.of_kernel(np.ones((3, 3, 2, 4)), Patches((4, 4, 1), (3, 3))),
            "kernel has shape (3, 3, 2, 4): expected (3, 3, 1)",
        ),
    ],
)
def test_patches_that_cannot_be(make: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        make()
    assert message in str(caught.value)


def layers_with(number: int, layer: Layer) -> tuple[Layer, ...]:
    layers = list(cnn().layers)
    layers[number] = layer
    return tuple(layers)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            layers_with(1, AveragePool((12, 12, 2), (2, 2), (2, 2))),
            "AveragePool behind w0: takes 12 x 12 values in 2 channels; w0 hands on 432 in 3",
        ),
        (layers_with(3, Dense(np.ones((30, 5)))), "w2 has shape (30, 5): expected 32 rows, as many as w1 hands on"),
        ((*cnn().layers, AveragePool((1, 1, 5), (1, 1))), "network ends with AveragePool"),
        ((Pointwise("tanh"), *cnn().layers), "units without weights"),
        (layers_with(0, replace(cnn().layers[0], ceiling=None)), "layer 0 is a relu without a ceiling"),  # type: ignore[type-var]
        (layers_with(0, replace(cnn().layers[0], ceiling=-1.0)), "ceiling -1.0 of layer 0"),  # type: ignore[type-var]
        (layers_with(2, replace(cnn().layers[2], ceiling=2.0)), "expected one of a relu alone"),  # type: ignore[type-var]
    ],
)
def test_layers_that_make_no_network(layers: tuple[Layer, ...], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Network(layers)
    assert message in str(caught.value)


def test_a_file_keeps_everything(tmp_path: Any) -> None:
    network = cnn()
    network.save(tmp_path / "net.npz")
    again = Network.load(tmp_path / "net.npz")
    for one, other in zip(network.layers, again.layers, strict=True):
        if isinstance(one, AveragePool):
            assert one == other
        elif isinstance(one, Dense):
            assert isinstance(other, Dense)
            assert (one.unit, one.ceiling, one.window) == (other.unit, other.ceiling, other.window)
            np.testing.assert_array_equal(one.weights, other.weights)
    assert again.sizes_text == "12x12-conv3@3x3-mean2x2-conv4@3x3-5"
    np.testing.assert_array_equal(network.forward(IMAGES), again.forward(IMAGES))


# --- the plain network, and ideal neurons in its place ----------------------------------------------------------


def written_out(network: Network, images: FloatArray) -> FloatArray:
    """Scores of `cnn` by loops over positions."""
    first, _, second, last = network.layers
    assert isinstance(first, Convolution)
    assert isinstance(second, Convolution)
    assert isinstance(last, Dense)
    scores = []
    for image in images.reshape(-1, 12, 12):
        padded = np.pad(image, 1)
        h = np.empty((12, 12, 3))
        for i, j in product(range(12), range(12)):
            h[i, j] = first.activation(padded[i : i + 3, j : j + 3].ravel() @ first.weights + first.shift)
        pooled = h.reshape(6, 2, 6, 2, 3).mean(axis=(1, 3))
        g = np.empty((2, 4, 4))
        for i, j in product(range(2), range(4)):
            g[i, j] = second.activation(pooled[2 * i : 2 * i + 3, j : j + 3].ravel() @ second.weights)
        scores.append(g.ravel() @ last.weights + last.shift)
    return np.array(scores)


@pytest.mark.parametrize("units", [("relu", "sigmoid"), ("tanh", "relu")])
def test_forward_is_the_sum_written_out(units: tuple[str, str]) -> None:
    network = cnn(units)
    np.testing.assert_allclose(network.forward(IMAGES), written_out(network, IMAGES), atol=1e-12)
    assert network.windows == 144 + 8
    assert network.held == (True, True)


@pytest.mark.parametrize("network", [cnn(), cnn(("sigmoid", "tanh")), deep_relu()], ids=["relu", "sigmoid", "dense"])
def test_ideal_neurons_give_the_plain_scores(network: Network) -> None:
    plain = network.forward(IMAGES)
    found = classify(network.with_options(settle=100.0, control=400.0), IMAGES, table=129)
    assert np.abs(found.scores - plain).max() < 2e-3 * np.abs(plain).max()
    simulated = classify(network.with_options(settle=50.0, control=100.0), IMAGES[:2])
    assert np.abs(simulated.scores - plain[:2]).max() < 0.02 * np.abs(plain).max()


def test_without_ceilings_a_relu_does_not_end() -> None:
    network = deep_relu(0.5)
    z = IMAGES @ network.weights[0] + network.biases[0]
    h = np.maximum(np.maximum(z, 0.0) @ network.weights[1] + network.biases[1], 0.0)
    np.testing.assert_allclose(network.forward(IMAGES, ceilings=False), h @ network.weights[2], atol=1e-12)
    assert np.abs(network.forward(IMAGES) - network.forward(IMAGES, ceilings=False)).max() > 0.1


# --- chips -----------------------------------------------------------------------------------------------------


def quiet(technology: Technology = DISCRETE, **values: Any) -> Technology:
    """Nothing but what is said."""
    return technology.with_errors(()).with_values({"array.levels": None, "array.clip_quantile": 1.0} | values)


def chip(technology: Technology = DISCRETE, seed: int | None = 3, network: Network | None = None) -> ManufacturedChip:
    return Design(cnn(("sigmoid", "tanh")) if network is None else network, technology).chip(seed)


def test_one_cell_per_channel_serves_all_positions() -> None:
    made = chip()
    assert [len(layer.cells) for layer in made.layers] == [3, 4]
    assert [array.crossbar.n_in for array in made.arrays] == [9, 27, 32]
    first, second = made.hardware
    assert first.holds is not None
    assert second.holds is not None
    assert [len(first.holds), len(second.holds)] == [144 * 3, 8 * 4]


def by_position(made: ManufacturedChip, images: FloatArray, table: Table) -> FloatArray:
    """Scores of a chip of `cnn` without sampling noise, position by position, with every held value's own error."""
    first, second = made.layers
    protocol = made.network.protocol

    def cell(layer: HiddenLayer, z: FloatArray) -> FloatArray:
        means = table.respond(layer.cells, layer.cells.drive_stage.drives(z[None]), protocol).mean[0]
        rows = layer.cells.row_stage
        late = np.exp(-(protocol.settle + protocol.control) / rows.time_constant)
        return np.asarray((1.0 - late) * (rows.gain * means + rows.offset))

    holds = []
    for number, n_positions in ((0, 144), (1, 8)):
        one = made.hardware[number]
        assert one.holds is not None
        per_volt = 1.0 / one.cells.cell.row_volts[0]
        shape = (n_positions, len(one.cells))
        holds.append((one.holds.offset.reshape(shape) * per_volt, one.holds.droop.reshape(shape) * per_volt))
    window = 60.0 * made.time_unit
    scores = []
    for image in images.reshape(-1, 12, 12):
        padded = np.pad(image, 1)
        h = np.empty((12, 12, 3))
        for p, (i, j) in enumerate(product(range(12), range(12))):
            h[i, j] = cell(first, padded[i : i + 3, j : j + 3].ravel() @ first.weights + first.bias) + holds[0][0][p]
        g = np.empty((2, 4, 4))
        for q, (i, j) in enumerate(product(range(2), range(4))):
            seconds = window * (143.0 - np.arange(144) + q + 0.5)[:, None]
            drooped = h + (holds[0][1] * seconds).reshape(12, 12, 3)
            pooled = drooped.reshape(6, 2, 6, 2, 3).mean(axis=(1, 3))
            z = pooled[2 * i : 2 * i + 3, j : j + 3].ravel() @ second.weights + second.bias
            g[i, j] = cell(second, z) + holds[1][0][q]
        g += (holds[1][1] * window * (7.0 - np.arange(8.0))[:, None]).reshape(2, 4, 4)
        scores.append(g.ravel() @ made.output_array.weights + made.output_array.bias())
    return np.array(scores)


def test_a_chip_is_what_its_positions_make_one_after_another() -> None:
    # large errors, so that a wrong place or time shows
    values = {"hold.offset_sigma": 0.05, "hold.droop_sigma": 0.02, "hold.noise": 0.0, "low_pass.time_constant": 30.0}
    made, table = chip(DISCRETE.with_values(values)), Table(Direct(), 33)
    expected = by_position(made, IMAGES[:2], table)
    silent = replace_noise(made)
    found = classify(silent, IMAGES[:2], backend=table).scores
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    alone = chip(DISCRETE.with_values(values | {"hold.offset_sigma": 0.0, "hold.droop_sigma": 0.0}))
    assert np.abs(classify(replace_noise(alone), IMAGES[:2], backend=table).scores - found).max() > 0.1


def replace_noise(made: ManufacturedChip) -> Chip:
    """The same layers without random samples."""
    return Chip(made.network, made.layers, made.output, made.converters)


def test_both_ways_through_tables_agree() -> None:
    made, table = chip(), Table(Direct(), 33)
    fast = classify(made, IMAGES, table=33).scores
    rows = activations(made, IMAGES, table)
    np.testing.assert_allclose(rows @ made.output.weights + made.output.bias, fast, rtol=0, atol=1e-4)


def test_images_have_the_same_scores_in_any_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    made = chip()
    together = classify(made, IMAGES, table=33).scores
    monkeypatch.setattr("analog_fhn.inference._PATCH_VALUES", 144 * 9 * 2)
    # the last digit of a product in single precision depends on its size
    np.testing.assert_allclose(classify(made, IMAGES, table=33).scores, together, rtol=0, atol=2e-6)


def test_samples_spread_as_the_ripple_and_the_noise_say() -> None:
    made = chip(quiet(**{"hold.noise": 0.01}))
    table = Table(Direct(), 33)
    n, values = 400, []
    images = np.repeat(IMAGES[:1], n, axis=0)
    inputs, outputs = layer_values(made, images, table)
    layer = made.layers[0]
    means = table.respond(layer.cells, layer.drives(inputs[0][:144]), made.network.protocol).mean
    assert layer.hold is not None
    variance = layer.cells.ripple(means) + layer.hold.noise**2
    values = outputs[0].reshape(n, 144, 3)
    ratio = values.var(axis=0, ddof=1) / variance * (n - 1)
    low, high = chi2.ppf([1e-7, 1 - 1e-7], n - 1)  # of 432: false alarm in 1e-4 of the seeds
    assert ratio.min() > low
    assert ratio.max() < high
    exact = held(layer, means, made.network.protocol)
    assert np.abs((values.mean(axis=0) - exact) / np.sqrt(variance / n)).max() < 5.5


def test_ripple_at_the_sample_is_that_of_the_waveform() -> None:
    """The low-pass at random instants of a long simulation, against the variance that samples are drawn with."""
    made = chip(quiet(**{"low_pass.time_constant": 8.0}))
    cells = made.layers[0].cells
    protocol = Protocol(settle=100.0, control=300.0, interval=0.02)
    drives = np.full((1, 3), -0.8)
    response = Direct().respond(cells, drives, protocol, samples=True)
    assert response.samples is not None
    h = cells.row_stage.gain * np.asarray(response.samples[:, 0], dtype=np.float64) + cells.row_stage.offset
    low, decay = h[0].copy(), np.exp(-0.02 / cells.row_stage.time_constant)
    trace = np.empty_like(h)
    for k, value in enumerate(h):
        low = decay * low + (1.0 - decay) * value
        trace[k] = low
    late = trace[len(trace) // 2 :]
    np.testing.assert_allclose(late.var(axis=0), cells.ripple(response.mean)[0], rtol=0.1)


def test_compiled_samples_are_those_of_the_equations() -> None:
    made, random = chip(), rng()
    cells = made.layers[0].cells
    means, normal = random.uniform(-1.3, 1.3, (500, 3)), random.normal(size=(500, 3))
    values = np.zeros((500, 3))
    grid = np.sqrt(cells.dynamics.slow_variance(np.linspace(-1.0, 1.0, 4097) * (1.0 - 1e-12)))
    add_samples(values, means, normal, cells.ripple_per_y, grid, 0.02)
    np.testing.assert_allclose(values, normal * np.sqrt(cells.ripple(means) + 0.02**2), atol=2e-4)


def test_errors_of_hold_stages_reach_the_next_rows() -> None:
    offset, droop = rng().normal(size=(2, 16, 2))
    hold = Hold(offset, droop, 0.0)
    front = Front(
        (AveragePool((4, 4, 2), (2, 2), (2, 2)),), Patches((2, 2, 2), (1, 2), padding=((0, 0), (0, 1)), fill=9.0)
    )
    errors = hold.errors(front, driven=True)
    assert errors is not None
    for q, (i, j) in enumerate(product(range(2), range(2))):
        for k in range(2):
            # position j + k of the second row of windows lies beyond the edge, where nothing is held
            expected = np.zeros(2)
            if j + k < 2:
                for line, place in product((2 * i, 2 * i + 1), (2 * (j + k), 2 * (j + k) + 1)):
                    p = 4 * line + place
                    expected += (offset[p] + droop[p] * (15 - p + q + 0.5)) / 4
            np.testing.assert_allclose(errors[q].reshape(2, 2)[k], expected, atol=1e-12)
    assert Hold(np.zeros((16, 2)), np.zeros((16, 2)), 1.0).errors(front, driven=True) is None


def test_the_vote_and_raw_rows_are_refused_where_activations_are_held() -> None:
    for readout, recentre in (("vote", True), ("mean", False)):
        with pytest.raises(InputError, match="nothing oscillates there"):
            classify_all(cnn(), IMAGES, [(readout, recentre)], table=33)  # type: ignore[list-item]


def test_a_dense_layer_behind_a_convolution_is_read_as_it_oscillates() -> None:
    random = rng()
    layers = (*cnn(("sigmoid", "tanh")).layers[:2], Dense(random.normal(size=(108, 6)) / 5.0, None, "sigmoid"))
    network = Network((*layers, Dense(random.normal(size=(6, 5)))), protocol=SHORT)
    assert network.held == (True, False)
    assert network.windows == 145
    made = Design(network, DISCRETE).chip(1)
    vote, mean = classify_all(made, IMAGES[:2], [("vote", True), ("mean", True)])
    response, every = hidden_response(made, IMAGES[:2], Direct(), samples=True)
    weights, shift = made.scores_of_rows(True)
    np.testing.assert_allclose(mean.scores, response.mean @ weights + shift, atol=1e-9)
    assert vote.scores.sum(axis=1) == pytest.approx(1.0)
    assert every[-1].values is None


def test_a_held_layer_is_read_like_its_front() -> None:
    every = list(passes(Chip.ideal(cnn()), IMAGES, lambda number, drives: -1.0 - drives))
    assert every[-1].values is not None
    assert every[-1].values.shape == (6, 32)
    assert Chip.ideal(cnn()).output.front == PLAIN
    # the identity gives the plain network's activations, for units whose drive is bounded as the activation is
    plain = cnn().forward(IMAGES)
    output = Chip.ideal(cnn()).output
    np.testing.assert_allclose(every[-1].values @ output.weights + output.bias, plain, atol=1e-9)


def values_of(array: NDArray[Any]) -> set[float]:
    return set(np.unique(array).tolist())


def test_the_error_group_of_hold_stages_moves_them_alone() -> None:
    made, exact = chip(DISCRETE.with_errors(["hold"])), chip(DISCRETE.with_errors(()))
    for one, other in zip(made.hardware, exact.hardware, strict=True):
        np.testing.assert_array_equal(one.array.crossbar.g_plus, other.array.crossbar.g_plus)
        np.testing.assert_array_equal(one.cells.dynamics.q, other.cells.dynamics.q)
        assert one.holds is not None
        assert other.holds is not None
        assert one.holds.offset.std() > 0.0
        assert not np.any(other.holds.offset)
        assert not np.any(other.holds.droop)


def test_draws_of_hold_stages_do_not_move_others() -> None:
    # as for all parts: what one component draws does not depend on the others
    with_hold = chip(DISCRETE.with_values({"hold.offset_sigma": 1e-3, "hold.droop_sigma": 1e-5}))
    without = chip(DISCRETE.with_values({"hold.offset_sigma": 0.0, "hold.droop_sigma": 0.0}))
    for one, other in zip(with_hold.hardware, without.hardware, strict=True):
        np.testing.assert_array_equal(one.array.crossbar.g_plus, other.array.crossbar.g_plus)
        np.testing.assert_array_equal(one.cells.dynamics.p, other.cells.dynamics.p)
    first = with_hold.hardware[0].holds
    assert first is not None
    assert first.offset.std() == pytest.approx(1e-3, rel=0.15)
    assert values_of(first.offset) & values_of(chip(seed=4).hardware[0].holds.offset) == set()  # type: ignore[union-attr]


def test_gathered_is_the_transpose_of_rows() -> None:
    random = rng()
    pools = (AveragePool((7, 6, 2), (3, 2), (2, 2), ((1, 0), (0, 1))),)
    front = Front(pools, Patches((*pools[0].positions, 2), (2, 2), (1, 2), ((1, 1), (0, 2)), (2, 1)))
    values = random.normal(size=(3, 84))
    rows = front.rows(values)
    slopes = random.normal(size=rows.shape)
    gathered = front.gathered(slopes)
    assert gathered.shape == values.shape
    assert np.sum(rows * slopes) == pytest.approx(np.sum(values * gathered), rel=1e-12)


@pytest.mark.parametrize("part", ["offset", "droop"])
@pytest.mark.parametrize("layer", [0, 1])
def test_slopes_of_hold_stages_are_those_of_finite_differences(layer: int, part: str) -> None:
    design = Design(cnn(("sigmoid", "tanh")), DISCRETE)
    labels = design.network.forward(IMAGES).argmax(axis=1)
    table = Table(Direct(), 33)
    slopes = Slopes(design, Labelled(IMAGES, labels, None), table, range(4))
    component = Component(layer, HOLDS, part)
    values = component.values(slopes.nominal)
    step, found = 1e-3 if part == "offset" else 1e-4, slopes.of[component]
    for k in (0, len(values) // 2 + 1, len(values) - 1):
        ends = []
        for sign in (1.0, -1.0):
            changed = values.copy()
            changed[k] += sign * step
            moved = component.with_values(slopes.nominal, changed)
            ends.append(slopes.weight @ slopes.margin(slopes.scores(moved)))
        assert found[k] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=0.02, abs=1e-6 * np.abs(found).max())
