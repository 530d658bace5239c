"""Bring your network: from scikit-learn in memory, from a Keras file; what is refused, and why."""

import marimo

__generated_with = "0.25.2"
app = marimo.App()


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    # Bring your network

    You have a network already, trained with something else. This page brings two: a classifier of scikit-learn from
    memory, and a convolutional network from a Keras file. Then it tries two that cannot be built, and reads what the
    refusal says.
    """)
    return


@app.cell(hide_code=True)
def _():
    import marimo as mo

    return (mo,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## From memory: scikit-learn

    `from_model` takes the fitted object. The scaler in front is part of what was trained, and goes into the weights of
    the first layer.
    """)
    return


@app.cell
def _():
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    import analog_fhn as af

    train, test = af.load_data("digits", "train"), af.load_data("digits", "test")
    mlp = MLPClassifier((16,), activation="relu", learning_rate_init=0.02, tol=0.005, max_iter=300, random_state=1)
    classifier = make_pipeline(StandardScaler(), mlp).fit(train.images, train.labels)

    of_sklearn = af.from_model(classifier, images=train.images)
    of_sklearn
    return MLPClassifier, af, classifier, of_sklearn, test, train


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    The units are relu, which has no upper end, while the mean of an oscillator has. So each layer gets a *ceiling*,
    which is measured on the training images: hardly an activation reaches it. First of all, check that the network
    is still the one that you trained:
    """)
    return


@app.cell
def _(classifier, of_sklearn, test):
    there, here = classifier.score(test.images, test.labels), of_sklearn.accuracy(test.images, test.labels)
    f"scikit-learn {there:.1%}, here {here:.1%}"
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    The same number: the import is right. But the largest weight, in the table above, is an alarm. Here is what
    becomes of it on a board, and what the design's checks say:
    """)
    return


@app.cell
def _(af, of_sklearn, test):
    scaled = af.Design(of_sklearn, "discrete")
    ideal, built = (af.classify(one, test.images, table=9) for one in (of_sklearn, scaled.chip(1)))
    f"ideal neurons {ideal.accuracy(test.labels):.1%}, chip 1 of the board {built.accuracy(test.labels):.1%}"
    return (scaled,)


@app.cell
def _(af, scaled):
    af.check(scaled)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    As mathematics the network is right, as hardware it is useless. The scaler divides each pixel by its spread, and
    some pixels of the digits are next to never anything but 0, so that their weights are hundreds of times larger than
    the others. All weights of an array share one range of conductances. Pixels that lie between 0 and 1 need no scaler;
    without it:
    """)
    return


@app.cell
def _(MLPClassifier, af, test, train):
    unscaled = MLPClassifier((16,), activation="relu", learning_rate_init=0.02, tol=0.005, max_iter=300, random_state=1)
    unscaled.fit(train.images, train.labels)
    plain = af.from_model(unscaled, images=train.images)
    on_board = af.classify(af.Design(plain, "discrete").chip(1), test.images, table=9)
    f"plain network {plain.accuracy(test.images, test.labels):.1%}, chip 1 {on_board.accuracy(test.labels):.1%}"
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## From a file: Keras

    A convolutional network, with batch normalisation, as Keras saves it. Keras is needed to train, and not to read
    the file: nothing in it is run or unpickled. Files of PyTorch (through ONNX, or safetensors), TensorFlow, JAX,
    MATLAB and NumPy come by the same function.
    """)
    return


@app.cell
def _(train):
    import os
    import tempfile
    from pathlib import Path

    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    keras.utils.set_random_seed(1)
    folder = Path(tempfile.mkdtemp())
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(6, 3, use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.AveragePooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(10, "softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train.images.reshape(-1, 8, 8, 1), train.labels, epochs=12, batch_size=64, verbose=0)
    model.save(folder / "model.keras")
    return folder, keras, model


@app.cell
def _(af, folder, train):
    of_keras = af.load_network(folder / "model.keras", images=train.images)
    of_keras
    return (of_keras,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    The batch normalisation has gone into the convolution, and the softmax, which changes no answer, was left out.
    What an import did is kept with the network:
    """)
    return


@app.cell
def _(of_keras):
    "\n".join(
        f"{key}: {value}" for key, value in of_keras.provenance["imported"].items() if key not in ("path", "sha256")
    )
    return


@app.cell
def _(model, of_keras, test):
    _, of_framework = model.evaluate(test.images.reshape(-1, 8, 8, 1), test.labels, verbose=0)
    f"Keras {of_framework:.1%}, here {of_keras.accuracy(test.images, test.labels):.1%}"
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    On a chip a convolution is one array with one cell per channel, used at one position of the image after the other.
    That takes more windows for an answer, and few parts:
    """)
    return


@app.cell
def _(af, of_keras):
    convolutional = af.Design(of_keras, "discrete")
    convolutional
    return (convolutional,)


@app.cell
def _(af, convolutional, test):
    of_chip = af.classify(convolutional.chip(1), test.images, table=9)
    f"chip 1: {of_chip.accuracy(test.labels):.1%} of {len(test.labels)} images"
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## What is refused

    Not every network has a circuit, and a network that is nearly right is worse than none. So nothing is guessed: what
    cannot be built is refused, by name, with what to do instead. Max pooling, for one, would need a part that picks the
    largest of several oscillators:
    """)
    return


@app.cell
def _(af, folder, keras):
    import textwrap

    picky = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )
    picky.save(folder / "picky.keras")

    def refusal(name):
        """What the import says."""
        try:
            af.load_network(folder / name)
        except af.InputError as error:
            return textwrap.fill(str(error).replace(f"{folder}/", ""), 90)

    refusal("picky.keras")
    return (refusal,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    A file of weights alone does not say which activation stood between them. Asking is better than taking the usual
    one:
    """)
    return


@app.cell
def _(folder, refusal):
    import numpy as np

    rng = np.random.default_rng(0)
    np.savez(folder / "weights.npz", w0=rng.normal(size=(64, 8)), w1=rng.normal(size=(8, 10)))
    refusal("weights.npz")
    return


@app.cell
def _(af, folder):
    af.load_network(folder / "weights.npz", hidden="tanh")
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## What next

    - [Bring your network](../bring.md): every format, what is folded into the weights, and the whole list of what is
      refused, with what to do.
    - [How many chips pass](how_many_chips.md), with your network in place of ours.
    """)
    return


if __name__ == "__main__":
    app.run()
