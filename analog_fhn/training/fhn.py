"""FHN neurons as a Keras layer: forward pass as in the circuit, a surrogate for the way back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from analog_fhn.cell.base import Curve
from analog_fhn.errors import InputError
from analog_fhn.neuron import FHN as Parameters
from analog_fhn.neuron import Protocol
from analog_fhn.readout import Activation
from analog_fhn.training.fit import Gradient, check_one_of, keras_on_jax
from analog_fhn.training.response import Responses

keras = keras_on_jax()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

from analog_fhn.training.chain import drives, mean_between, with_way_back  # noqa: E402

_Layer: Any = keras.layers.Layer

_STAGES = ("gain", "slope", "shift", "offset", "row_gain", "row_offset", "low", "high")
_WRITTEN_OUT = 10_000  # numbers that a configuration may hold


@keras.saving.register_keras_serializable(package="analog_fhn", name="_Kept")
class _StoredResponses:
    """Responses in a layer's configuration: a copy of the layer takes them as they are.

    Written to a file they become lists if they are few; else the layer's arrays have to be loaded, as from a `.keras`
    file they are.
    """

    def __init__(self, responses: Responses) -> None:
        self.responses = responses

    def get_config(self) -> dict[str, Any]:
        arrays = self.responses.arrays()
        few = sum(array.size for array in arrays.values()) <= _WRITTEN_OUT
        return {name: array.tolist() for name, array in arrays.items()} if few else {}

    @staticmethod
    def read(config: dict[str, Any], curve: Curve) -> Responses | None:
        """Responses of a configuration from a file; None where they were too many."""
        arrays: dict[str, Any] = {name: np.asarray(values, np.float64) for name, values in config["config"].items()}
        return Responses(**arrays | {"waves": arrays["waves"].astype(np.float32), "curve": curve}) if arrays else None


@keras.saving.register_keras_serializable(package="analog_fhn")
class FHN(_Layer):  # type: ignore[misc]
    """FHN neurons in place of an activation.

    Forward: the drive ``I = gain curve(slope z + shift) + offset``, the neurons' response to it, and what the row
    drivers make of that; z has shape (..., n). The curve is tanh, or a relu's ramp ``min(max(u, 0), 1)``. The response
    is the time average of x, interpolated in a table, or with `samples` x(t) itself, simulated.

    Backward: `gradient` "response" is the slope of the table, which is 0 beyond the ends of a ramp; "sigmoid" puts a
    sigmoid in the neurons' place, ``d h/d z = span d/dz 1/(1 + exp(-2 (slope z + shift)))``, span being the height of
    the table between the ends of the tanh. For ideal neurons with the slope 1/2 that is the logistic function of the
    paper (Bogatenko et al., Chaos 33(7), 2023, section 4); the span sets sign and scale, where the paper says nothing
    of either. In a ramp's place stands ``1/(1 + exp(-4 (u - 1/2)))``, which is as steep in the middle.

    All arrays are weights that are not trained, so that a `.keras` file holds them; loading one needs
    ``import analog_fhn.training`` and ``analog_fhn.training.FHN`` before. A copy (`keras.models.clone_model`) has them
    too. A model that is made from JSON lacks those of more than a few neurons until its weights are loaded; till then
    the layer refuses to be used.

    Parameters
    ----------
    responses
        Of one neuron, which then stands for all, of as many as the layer is wide, or with `draw` of any number. None:
        the settled mean of an ideal neuron of `fhn`, `hidden`, `ceiling`, `recentre`.
    gradient
        "response" or "sigmoid".
    draw
        Whether each training step (one batch) puts neurons drawn at random from the responses in place of all; outside
        training, all are the first of the responses. Where z has more axes than two, neurons are drawn for the last:
        all positions of a convolution have the same.
    samples
        Protocol at whose instants x(t) is the output, (batch, n_samples, n), of z of shape (batch, n). It is
        interpolated where the responses hold x(t), which must then be that of the same protocol, and simulated in every
        call else.
    fhn, hidden, ceiling, recentre
        See `Responses.nominal`; not used with `responses`.
    seed
        Of what `draw` and noise draw.

    Raises
    ------
    InputError
        For an unknown gradient, a width that the responses do not fit, or use before the responses are loaded.
    """

    def __init__(
        self,
        responses: Responses | None = None,
        *,
        gradient: Gradient = "response",
        draw: bool = False,
        samples: Protocol | None = None,
        fhn: Parameters | None = None,
        hidden: Activation = "sigmoid",
        ceiling: float = 1.0,
        recentre: bool = True,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        check_one_of("gradient", gradient, Gradient)
        sizes = {name: kwargs.pop(name, None) for name in ("count", "n_drives", "n_samples", "eps", "implicit")}
        self.n_coefficients: int = kwargs.pop("n_coefficients", 9)
        self.curve: Curve = kwargs.pop("curve", "tanh")
        super().__init__(**kwargs)
        if responses is None and sizes["count"] is None:
            neuron = Parameters() if fhn is None else fhn
            responses = Responses.nominal(neuron, hidden, ceiling=ceiling, recentre=recentre)
        self._responses, self._loaded = responses, responses is not None
        if responses is not None:
            self.curve = responses.curve
            self.n_coefficients = 9 if responses.has_coefficients else 0
            sizes = {
                "count": len(responses), "n_drives": responses.n_drives, "n_samples": responses.waves.shape[2],
                "eps": float(responses.eps[0]), "implicit": not responses.explicit_is_stable,
            }  # fmt: skip
        self.count, self.n_drives, self.n_samples, self.eps, self.implicit = sizes.values()
        if samples is not None and self.n_samples not in (0, samples.n_samples):
            raise InputError(
                f"responses hold {self.n_samples} samples; expected {samples.n_samples}, as `samples` asks"
            )
        if samples is not None and self.n_samples == 0 and self.n_coefficients == 0:
            raise InputError(
                "responses of neurons whose equations are no polynomial: their x(t) is not simulated in training; "
                "expected responses that hold it (Responses.of with samples=True), or the mean readout"
            )
        self.gradient, self.draw, self.seed = gradient, draw, seed
        self.samples = samples
        self.generator = keras.random.SeedGenerator(seed)

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Make the layer's arrays; `shape` is that of z."""
        width = shape[-1]
        if self.count not in (1, width) and not self.draw:
            raise InputError(f"FHN layer of {width} neurons: responses of {self.count}; expected 1 or {width}")

        def fixed(name: str, *shape: int) -> Any:
            return self.add_weight(name=name, shape=shape, initializer="zeros", trainable=False, dtype="float32")

        self.stages = fixed("stages", len(_STAGES), self.count)
        self.mean = fixed("mean", self.count, self.n_drives)
        self.deviation = fixed("deviation", self.count, self.n_drives)
        self.coefficients = fixed("coefficients", self.count, self.n_coefficients)
        self.waves = fixed("waves", self.count, self.n_drives, self.n_samples if self.samples is not None else 0)
        # Between the first neuron of the responses (0) and the drawn ones (1): what a schedule moves.
        self.strength = fixed("strength")
        self.strength.assign(1.0)
        if self._responses is not None:
            self.assign(self._responses)

    def assign(self, responses: Responses) -> None:
        """Put other responses, of as many neurons and drives, in place of the present ones."""
        self.stages.assign(np.stack([getattr(responses, name) for name in _STAGES]))
        self.mean.assign(responses.mean)
        self.deviation.assign(responses.deviation)
        if self.waves.shape[2]:
            self.waves.assign(responses.waves)
        self.coefficients.assign(np.concatenate([responses.p, responses.q], axis=1))
        self._loaded = True

    def load_own_variables(self, store: Any) -> None:
        """Take the arrays of a file."""
        super().load_own_variables(store)
        self._loaded = True

    @property
    def responses(self) -> Responses | None:
        """What the arrays hold; None before they are loaded."""
        if not self.built or not self._loaded:
            return self._responses
        stages, mean, deviation, coefficients = (
            np.asarray(v.value, np.float64) for v in (self.stages, self.mean, self.deviation, self.coefficients)
        )
        return Responses(
            mean=mean, deviation=deviation, p=coefficients[:, :5], q=coefficients[:, 5:],
            eps=np.full(self.count, self.eps), waves=np.asarray(self.waves.value), curve=self.curve,
            **dict(zip(_STAGES, stages, strict=True)),
        )  # fmt: skip

    def call(self, z: Any, training: bool | None = None) -> Any:
        """Activations for pre-activations z."""
        if not self._loaded:
            raise InputError(
                f"FHN layer {self.name!r}: its responses are not loaded; expected its model's weights from a file "
                "(load_weights), or assign(responses)"
            )
        drawn = bool(self.draw and training)
        arrays = [v.value for v in (self.stages, self.mean, self.deviation, self.coefficients, self.waves)]
        stages, mean, deviation, coefficients, waves = (
            self._chosen(z.shape[-1], drawn, *arrays) if self.draw else arrays
        )
        gain, slope, shift, offset, row_gain, row_offset, low, high = stages
        drive = drives(z, gain, slope, shift, offset, self.curve)

        def read(drive: Any, nodes: Any) -> Any:
            return mean_between(drive, low, high, nodes)

        if self.gradient == "sigmoid":
            ramp = self.curve == "ramp"
            low_end, steep, middle = (offset, 4.0, 0.5) if ramp else (offset - gain, 2.0, 0.0)
            span = row_gain * (read(offset + gain, mean) - read(low_end, mean))
            surrogate = span * jax.nn.sigmoid(steep * (slope * z + shift - middle))
        else:
            surrogate = row_gain * read(drive, mean)
        if self.samples is None:
            x = read(drive, mean)
            if training:
                x = x + read(drive, deviation) * keras.random.normal(drive.shape, seed=self.generator)
            return with_way_back(row_gain * x + row_offset, surrogate)
        x = read(drive, waves) if waves.shape[2] else self._simulated(drive, coefficients)
        return with_way_back(row_gain * jnp.moveaxis(x, -1, 1) + row_offset, surrogate[:, None])

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Shape of the output for z of `shape`."""
        return shape if self.samples is None else (shape[0], self.samples.n_samples, shape[-1])

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        config: dict[str, Any] = super().get_config()
        responses = self.responses
        return config | {
            "responses": None if responses is None else _StoredResponses(responses),
            "gradient": self.gradient,
            "draw": self.draw,
            "samples": None if self.samples is None else asdict(self.samples),
            "seed": self.seed,
            "count": self.count,
            "n_drives": self.n_drives,
            "n_samples": self.n_samples,
            "eps": self.eps,
            "implicit": self.implicit,
            "curve": self.curve,
            "n_coefficients": self.n_coefficients,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FHN:
        """Layer of this configuration; one from a file may still lack its arrays."""
        config = dict(config)
        samples, stored = config.pop("samples"), config.pop("responses", None)
        if isinstance(stored, dict):
            responses = _StoredResponses.read(stored, config.get("curve", "tanh"))
        else:
            responses = None if stored is None else stored.responses
        layer = cls(responses, samples=None if samples is None else Protocol(**samples), **config)
        layer.implicit = config["implicit"]  # which single precision might decide otherwise
        return layer

    def _chosen(self, width: int, drawn: bool, stages: Any, *tables: Any) -> tuple[Any, ...]:
        """Arrays of `width` neurons: drawn ones, mixed with the first by `strength`, or the first for all."""
        if not drawn:
            return stages[:, :1], *(table[:1] for table in tables)
        index = keras.random.randint((width,), 0, self.count, seed=self.generator)
        mix = self.strength.value
        first = stages[:, :1]
        return first + mix * (stages[:, index] - first), *(
            table[:1] + mix * (table[index] - table[:1]) for table in tables
        )

    def _simulated(self, drive: Any, coefficients: Any) -> Any:
        from analog_fhn.training.waveform import simulate

        assert self.samples is not None
        x = simulate(
            jax.lax.stop_gradient(drive), coefficients[:, :5], coefficients[:, 5:], self.eps, self.samples,
            implicit=self.implicit,
        )  # fmt: skip
        return jnp.moveaxis(x, 0, -1)
