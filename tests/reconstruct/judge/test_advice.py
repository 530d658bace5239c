from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.integrate import odeint
from scipy.signal import lfilter

from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.judge.advice import (
    advice,
    autocorrelation,
    false_nearest,
    mutual_information,
)
from analog_fhn.reconstruct.sources.sherman_rinzel import ShermanRinzel


def autoregressive(rho: float, n: int = 50_000) -> FloatArray:
    """Gaussian series of unit variance with correlation rho^lag."""
    draws = np.random.default_rng(1).normal(size=n)
    return np.asarray(lfilter([np.sqrt(1 - rho**2)], [1.0, -rho], draws))


@cache
def henon(n: int = 10_000) -> FloatArray:
    x, y, series = 0.1, 0.1, np.empty(n)
    for k in range(n):
        x, y = 1 - 1.4 * x * x + 0.3 * y, x
        series[k] = x
    return series


@cache
def lorenz() -> FloatArray:
    def slopes(u: FloatArray, _t: float) -> list[float]:
        return [10 * (u[1] - u[0]), u[0] * (28 - u[2]) - u[1], u[0] * u[1] - 8 / 3 * u[2]]

    return np.asarray(odeint(slopes, [1.0, 1.0, 20.0], np.arange(0, 420, 0.02))[1000:, 0])


def test_autocorrelation_of_a_sine() -> None:
    # 100 whole periods of 40 samples; the pairs at a lag leave out at most one period
    series = np.sin(2 * np.pi * np.arange(4000) / 40)
    np.testing.assert_allclose(autocorrelation(series, [0, 5, 10, 20, 40]), [1, np.sqrt(0.5), 0, -1, 1], atol=0.01)


@pytest.mark.parametrize("lag", [-1, 100, 150])
def test_lags_beyond_the_recording_are_refused(lag: int) -> None:
    with pytest.raises(InputError, match=f"no pair at a lag of {lag}"):
        autocorrelation(np.arange(100.0), [lag])


def test_autocorrelation_of_an_autoregressive_series_with_gaps() -> None:
    series = autoregressive(0.9)
    series[np.random.default_rng(2).random(len(series)) < 0.1] = np.nan
    # standard error about sqrt((1 + rho^2)/(1 - rho^2)/n) = 0.014 at long lags
    np.testing.assert_allclose(autocorrelation(series, [0, 1, 5, 20]), 0.9 ** np.array([0, 1, 5, 20]), atol=0.03)


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_mutual_information_of_gaussian_pairs(missing: float) -> None:
    series = autoregressive(0.8, 100_000)
    series[np.random.default_rng(2).random(len(series)) < missing] = np.nan
    lags = np.array([1, 2, 4, 40])
    exact = -0.5 * np.log(1 - 0.8 ** (2.0 * lags))
    # Coarse bins lose some of it: 4.3 % at 32 bins, 7.8 % at 16, 2.5 % at 64. Statistical error 0.002.
    np.testing.assert_allclose(mutual_information(series, lags), exact, rtol=0.045, atol=0.002)
    finer = mutual_information(series, lags[:2], bins=64)
    np.testing.assert_allclose(finer, exact[:2], rtol=0.035)


def test_mutual_information_with_itself_is_the_entropy_of_the_bins() -> None:
    assert mutual_information(autoregressive(0.5), [0], bins=16)[0] == pytest.approx(np.log(16), rel=0.01)


def test_no_false_neighbours_of_the_henon_map_in_two_dimensions() -> None:
    one, two, three = false_nearest(henon(), 1, [1, 2, 3])
    assert one > 0.5
    assert two < 0.002
    assert three < 0.002


def test_no_false_neighbours_of_the_lorenz_system_in_three_dimensions() -> None:
    # as in Kennel et al. 1992; samples 0.1 s apart
    shares = false_nearest(lorenz(), 5, [1, 2, 3, 4])
    assert shares[0] > 0.9
    assert shares[1] > 0.05
    assert max(shares[2:]) < 0.002


def test_false_neighbours_of_white_noise_do_not_end() -> None:
    # distance and scatter are of the same size there: A_tol tells
    assert false_nearest(np.random.default_rng(0).normal(size=20_000), 1, [8])[0] > 0.15


def test_neighbours_in_time_are_no_neighbours() -> None:
    # a ramp has no neighbours but those in time
    assert np.isnan(false_nearest(np.linspace(0, 1, 500), 1, [1], theiler=499)[0])
    with pytest.raises(InputError, match="too few"):
        false_nearest(np.arange(6.0), 3, [2])


def test_advice_for_the_lorenz_system() -> None:
    found = advice(lorenz(), 0.02, dimensions=5)
    assert found.information_lag is not None
    assert 0.14 <= found.step * found.information_lag <= 0.2  # Fraser and Swinney's minimum for it: 0.16 to 0.18
    assert found.stride == found.information_lag
    assert found.dimension is None or found.dimension > 2
    assert advice(lorenz(), 0.02, stride=5, dimensions=4).dimension == 3
    assert len(found.lags) == len(found.correlation) == len(found.information)


def test_advice_for_the_neuron_with_noise_and_gaps() -> None:
    voltage = 1e-3 * ShermanRinzel.modified().simulate(200.0, 0.01, settle=60.0)[1][:, 0]
    clean = advice(voltage, 0.01)
    assert clean.dimension in (3, 4)
    assert clean.information_lag == pytest.approx(19, abs=3)
    assert clean.decay_lag is not None
    assert clean.zero_lag is not None
    assert clean.decay_lag < clean.zero_lag < 430  # half a burst period
    rng = np.random.default_rng(0)
    voltage += 0.05 * voltage.std() * rng.normal(size=len(voltage))
    voltage[rng.random(len(voltage)) < 0.01] = np.nan
    noisy = advice(voltage, 0.01, stride=clean.stride)
    assert noisy.stride == clean.stride
    assert noisy.decay_lag == pytest.approx(clean.decay_lag, abs=3)
    # noise fills as many dimensions as it is given
    assert noisy.dimension is None or noisy.dimension > 4


def test_advice_where_nothing_is_found() -> None:
    found = advice(np.linspace(0.0, 1.0, 300), 0.01, longest=0.05, dimensions=1)
    assert (found.information_lag, found.zero_lag, found.stride) == (None, None, 1)
    with pytest.raises(InputError, match="must vary"):
        advice(np.ones(300), 0.01)
