"""Ten minutes: from training to a chip and its accuracy."""

import marimo

__generated_with = "0.25.2"
app = marimo.App()


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    # Ten minutes

    You have a trained network, and want to know what becomes of it as an analog circuit: one in which every hidden
    neuron is a small oscillator and every weight a pair of conductances. This page goes the whole way once, from
    training to a manufactured chip, on scikit-learn's images of handwritten digits. Nothing is downloaded, and each
    step takes seconds.
    """)
    return


@app.cell(hide_code=True)
def _():
    import marimo as mo

    return (mo,)


@app.cell
def _():
    from matplotlib import pyplot as plt

    import analog_fhn as af

    train = af.load_data("digits", "train")
    test = af.load_data("digits", "test")
    test
    return af, plt, test, train


@app.cell
def _(plt, test):
    pictures, grid = plt.subplots(1, 10, figsize=(7, 1.1))
    for axis, image, label in zip(grid, test.images, test.labels, strict=False):
        axis.imshow(image.reshape(8, 8), cmap="Greys")
        axis.set_title(str(label), fontsize=9)
        axis.set_axis_off()
    pictures.suptitle("The first test images", fontsize=9)
    pictures
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Train

    Training is ordinary: a network of 16 sigmoid units, without any thought of circuits. It could as well come from
    Keras, PyTorch or scikit-learn ([bring your network](bring_your_network.md)).
    """)
    return


@app.cell
def _(af, train):
    network = af.train_plain(train, n_hidden=16, epochs=40).network(train.scale)
    network
    return (network,)


@app.cell
def _(network, test):
    f"plain network: {network.accuracy(test.images, test.labels):.1%} of {len(test.labels)} test images"
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## A neuron in place of a sigmoid

    The unit that takes the sigmoid's place is a FitzHugh-Nagumo (FHN) neuron, whose input enters the slow equation:

    $$
    \varepsilon \frac{dx}{dt} = x - \frac{x^3}{3} - y, \qquad \frac{dy}{dt} = x + a + I
    $$

    What the sigmoid would be given, $z$, becomes the drive $I = \gamma \tanh(z/2)$. In the phase plane the drive
    shifts the vertical line: where it crosses the middle branch of the cubic the neuron spikes for ever, elsewhere it
    comes to rest.
    """)
    return


@app.cell
def _(network):
    network.plot()
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    Averaging the second equation over a period gives $\langle x \rangle = -(a + I)$, whatever the first one does. So
    the time average of $x$ follows the tanh in front of it, which is a sigmoid up to scale and offset: the neuron can
    stand where the sigmoid stood, and nothing has to be trained again. That is the idea. Whether it holds is decided
    by integrating every neuron for every image:
    """)
    return


@app.cell
def _(af, network, test):
    ideal = af.classify(network, test.images)
    ideal
    return (ideal,)


@app.cell
def _(ideal, network, test):
    plain = network.forward(test.images).argmax(axis=1)
    f"{ideal.accuracy(test.labels):.1%}; same class as the plain network on {(ideal.predictions == plain).mean():.1%}"
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## A design, and one chip of it

    A *technology* says what there is to build with; `discrete` is a printed circuit board of op-amps, multipliers and
    1 % resistors. The *design* lays the network out in it: every part with its nominal value.
    """)
    return


@app.cell
def _(af, network):
    design = af.Design(network, "discrete")
    design
    return (design,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    A *chip* is one manufactured sample. Every resistor, capacitor, offset and conductance gets the value that chance
    gave it, and all of them follow from one integer, the seed: chip 1 is the same chip on every computer.
    """)
    return


@app.cell
def _(design):
    chip = design.chip(1)
    chip
    return (chip,)


@app.cell
def _(chip):
    chip.plot()
    return


@app.cell
def _(af, chip, test):
    result = af.classify(chip, test.images)
    result.plot(test.labels)
    return (result,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    Rows are the true digits, columns what the chip answers. Where was accuracy lost on the way? The waterfall sends
    the same images through ever more of the circuit:
    """)
    return


@app.cell
def _(af, chip, test):
    stages = af.waterfall(chip, test.images, test.labels)
    stages
    return (stages,)


@app.cell
def _(stages):
    stages.plot(title="Chip 1, stage by stage")
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    The bars say what 500 images can tell: steps much smaller than a bar may be chance. Where that matters, take more
    images; the same lines with `"mnist"` in place of `"digits"` use 10 000.

    Every image has its row, with the score of its class and the distance to the next one. These are the images that
    the chip gets wrong with the largest margin:
    """)
    return


@app.cell
def _(result, test):
    wrong = result.frame(test.labels).query("not right")
    wrong.sort_values("margin", ascending=False).head(5)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## What next

    - One chip is one draw. [How many chips pass](how_many_chips.md) makes a hundred.
    - [Bring your network](bring_your_network.md), also a convolutional one.
    - `af.export(chip, test.images[0], "chip")` writes this chip as netlists that run in plain ngspice.
    """)
    return


if __name__ == "__main__":
    app.run()
