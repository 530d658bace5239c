"""The autoencoder: it compresses, it is reproducible, and its latent size follows from its losses."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from analog_fhn.errors import InputError
from analog_fhn.reconstruct.model.autoencoder import Autoencoder, AutoencoderOptions, elbow, train_autoencoder
from analog_fhn.training.fit import keras_on_jax

QUICK = AutoencoderOptions(steps=500, batch_size=128, learning_rate=5e-3)


@cache
def surface() -> tuple[np.ndarray, np.ndarray]:
    """Vectors of 10 coordinates on a bent surface of two dimensions, along a slow curve; and their numbers."""
    time = np.arange(3000) * 0.02
    x, y = np.cos(time), np.sin(np.sqrt(2) * time)
    lifted = np.stack([x, y, x * y, x**2, y**2, np.sin(2 * x), np.cos(2 * y), x - y, np.exp(x), x * y**2], axis=1)
    return (lifted - lifted.mean(axis=0)) / lifted.std(axis=0), np.arange(3000)


@cache
def trained(seed: int = 0, tear: float = 0.1) -> tuple[Autoencoder, np.ndarray]:
    return train_autoencoder(*surface(), 2, seed=seed, options=replace(QUICK, tear=tear))


def test_two_coordinates_hold_a_surface() -> None:
    found, losses = trained()
    assert found.latent == 2
    assert found.loss(surface()[0]) < 0.05  # of a variance of 1
    assert losses.shape == (500,)
    assert losses[-50:].mean() < 0.1 * losses[:5].mean()


def test_same_seed_same_weights_and_progress_to_the_last_step() -> None:
    calls: list[tuple[int, int]] = []
    again, losses = train_autoencoder(
        *surface(), 2, seed=0, options=QUICK, progress=lambda done, of: calls.append((done, of))
    )
    assert calls == [(500, 500)]
    assert np.array_equal(losses, trained()[1])
    for part in ("encoder", "decoder"):
        for one, other in zip(getattr(again, part), getattr(trained()[0], part), strict=True):
            assert np.array_equal(one[0], other[0])
            assert np.array_equal(one[1], other[1])


def test_another_seed_other_weights() -> None:
    one, other = trained()[0], trained(seed=1)[0]
    assert not np.allclose(one.encoder[0][0], other.encoder[0][0], atol=0.1)


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_forward_is_that_of_keras(part: str) -> None:
    keras, found = keras_on_jax(), trained()[0]
    layers = getattr(found, part)
    model = keras.Sequential([keras.layers.Input((len(layers[0][0]),))])
    for k, (weights, biases) in enumerate(layers):
        model.add(keras.layers.Dense(len(biases), "silu" if k + 1 < len(layers) else None))
        model.layers[-1].set_weights([weights, biases])
    values = np.random.default_rng(2).normal(size=(50, len(layers[0][0])))
    expected = np.asarray(model(values))
    if part == "encoder":
        assert expected.shape == (50, 4)  # means, and logarithms of deviations
        assert found.encode(values) == pytest.approx(expected[:, :2], abs=1e-4)
    else:
        assert found.decode(values) == pytest.approx(expected, abs=1e-4)


def test_rows_are_independent_of_their_number_and_shape() -> None:
    found, values = trained()[0], np.random.default_rng(5).normal(size=(9000, 10))
    whole = found.encode(values)
    assert found.encode(values.reshape(3, 30, 100, 10)) == pytest.approx(whole.reshape(3, 30, 100, 2), abs=1e-5)
    for row in (0, 4095, 4096, 8999):
        assert found.encode(values[row]) == pytest.approx(whole[row], abs=1e-5)
    assert found.encode(values[:0]).shape == (0, 2)


def test_newest_is_the_first_decoded_coordinate() -> None:
    found, latents = trained()[0], np.random.default_rng(3).normal(size=(7, 5, 2))
    assert found.newest(latents) == pytest.approx(found.decode(latents)[..., 0], abs=1e-5)


def test_steps_of_the_latent_are_penalised() -> None:
    rough, smooth = (
        np.mean(np.diff(found.encode(surface()[0]), axis=0) ** 2) for found in (trained()[0], trained(tear=100.0)[0])
    )
    assert smooth < 0.5 * rough


def test_what_does_not_follow_is_no_step() -> None:
    vectors, _ = surface()
    order = np.random.default_rng(4).permutation(2999)
    # The same steps as on the surface, in any order: large jumps between them, whose numbers do not follow.
    pairs = np.stack([vectors[:-1], vectors[1:]], axis=1)[order].reshape(-1, 10)
    numbers = (3 * np.arange(2999)[:, None] + np.arange(2)).ravel()
    parted, _ = train_autoencoder(pairs, numbers, 2, seed=0, options=replace(QUICK, tear=100.0))
    assert parted.loss(vectors) == pytest.approx(trained(tear=100.0)[0].loss(vectors), rel=0.2)


def test_samples_that_never_follow_each_other_are_refused() -> None:
    with pytest.raises(InputError, match="no two successive samples"):
        train_autoencoder(np.random.default_rng(0).normal(size=(50, 4)), 2 * np.arange(50), 2, seed=0)


def test_a_date_is_a_seed() -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 4))
    made = [
        train_autoencoder(vectors, np.arange(50), 2, seed=seed, options=AutoencoderOptions(steps=2))[0]
        for seed in (20261126, 20261126, 2**40)
    ]
    first = [one.encode(vectors) for one in made]
    assert np.array_equal(first[0], first[1])
    assert not np.allclose(first[0], first[2])


def test_too_high_a_learning_rate_is_named() -> None:
    with pytest.raises(InputError, match="diverged; learning rate 1e\\+12 is too high"):
        train_autoencoder(
            *surface(), 2, seed=0, options=AutoencoderOptions(steps=500, batch_size=128, learning_rate=1e12)
        )


@pytest.mark.parametrize("latent", [0, 11])
def test_a_latent_size_that_does_not_fit_is_refused(latent: int) -> None:
    with pytest.raises(InputError, match="expected 1 to 10"):
        train_autoencoder(*surface(), latent, seed=0, options=QUICK)


@pytest.mark.parametrize("option", [{"steps": 0}, {"learning_rate": -1.0}, {"kl": -1.0}, {"tear": float("nan")}])
def test_options_out_of_range_are_refused(option: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(option))):
        AutoencoderOptions(**option)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("losses", "size"),
    [
        ([0.062, 0.0040, 0.00028, 0.00015, 0.00010], 3),  # delay vectors of 32
        ([0.168, 0.024, 0.0043, 0.0014, 0.0008], 4),  # delay vectors of 64
        ([0.1], 1),
        ([0.1, 0.09, 0.08], 1),
        ([0.1, 0.09, 0.01], 3),
    ],
)
def test_elbow(losses: list[float], size: int) -> None:
    assert elbow(losses) == size
