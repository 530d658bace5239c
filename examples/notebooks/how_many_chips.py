"""How many chips pass: mismatch, yield and its interval, which parts decide, a control variate."""

import marimo

__generated_with = "0.25.2"
app = marimo.App()


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    # How many chips pass

    No two chips are alike: resistors are a per cent off, amplifiers have offsets, conductances are not quite what was
    written. Whether *a* chip works says little; what counts is the share of a batch that reaches the accuracy you
    promised, its **yield**, and how well you know it.
    """)
    return


@app.cell(hide_code=True)
def _():
    import marimo as mo

    return (mo,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    Any trained network will do. This one is a classifier of scikit-learn, which is trained in a second, with one
    hidden layer of 12 sigmoid units. The technology is a board with cheaper parts than `discrete`: 5 % resistors, and
    conductances that come out 10 % off where 1 % is usual.
    """)
    return


@app.cell
def _():
    from sklearn.neural_network import MLPClassifier

    import analog_fhn as af

    train, test = af.load_data("digits", "train"), af.load_data("digits", "test")
    mlp = MLPClassifier((12,), activation="logistic", learning_rate_init=0.02, tol=0.002, max_iter=400, random_state=1)
    mlp.fit(train.images, train.labels)
    network = af.from_model(mlp)

    cheap = af.Technology.load("discrete").with_values({"resistor.tolerance": 0.05, "array.programming_error": 0.1})
    design = af.Design(network, cheap)
    design
    return af, cheap, design, network, test


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Ten chips

    Each chip is one integer. The same images through ten of them:
    """)
    return


@app.cell
def _(af, design, network, test):
    plain = network.accuracy(test.images, test.labels)
    ten = [af.classify(design.chip(seed), test.images, table=9).accuracy(test.labels) for seed in range(10)]
    f"plain network {plain:.1%}; ten chips: " + ", ".join(f"{accuracy:.1%}" for accuracy in ten)
    return (plain,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    `table=9` measures every neuron at nine drives and reads the images from that curve, which is as good as simulating
    each image and much faster.

    ## A hundred chips

    `sweep` makes the batch and judges it. A chip passes if it loses at most one point against the plain network.
    """)
    return


@app.cell
def _(af, design, plain, test):
    study = af.sweep(design, test, chips=100, specification=plain - 0.01, workers=1)
    study
    return (study,)


@app.cell
def _(study):
    study.plot()
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    (Without `workers=1` every core takes part; a script then calls `sweep` below `if __name__ == "__main__":`.)

    A yield from a hundred chips is an estimate. The interval beside it (Wilson's, 95 %) says how good a one:
    """)
    return


@app.cell
def _(study):
    study.yield_()
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    The band narrows with the root of the number of chips, so that half the width costs four times the chips.
    `until={"width": 0.02}` lets a sweep go on until the interval is as narrow as you ask, and no longer.
    """)
    return


@app.cell
def _(study):
    study.plot("convergence")
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    And the yield at any other promise, from the same chips:
    """)
    return


@app.cell
def _(study):
    study.plot("yield-curve")
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Which parts decide

    The drawn value of every part of every chip is known. A regression of the accuracies on them says how much of the
    spread from chip to chip each group of parts is responsible for:
    """)
    return


@app.cell
def _(study):
    study.regression()
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    The devices of the arrays come first by far, in spite of resistors five times worse than usual; what the groups
    leave unexplained are single images that tip over. Is it worth more to buy better resistors, or to write the
    conductances with more care? Each choice is a point of one sweep, and all points share their random numbers: chip 7
    has the same luck everywhere, and only the tolerance differs.
    """)
    return


@app.cell
def _(af, design, plain, test):
    better = af.sweep(
        design,
        test,
        chips=40,
        grid={"resistor.tolerance": [0.01, 0.05], "array.programming_error": [0.02, 0.1]},
        specification=plain - 0.01,
        workers=1,
    )
    better
    return (better,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    Careful writing pays: with it every one of the forty chips passes, whatever the resistors. Better resistors alone
    bring a little. Every trial is a row, and in pandas the batch is yours to ask. These are the three worst chips of
    the last point, to be made again by their seeds with `better.design(3).chip(seed)`:
    """)
    return


@app.cell
def _(better):
    rows = better.frame()
    rows[rows.point == 3].nsmallest(3, "accuracy")[["trial", "chip_seed", "accuracy"]]
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## A few chips the slow way, many the fast way

    A chip judged by a slower and more faithful method is dear. But both methods can be given the *same* chips, and
    then few are enough: what the methods differ by is known well from those few, what the batch does from the many.
    The fast study is a **control variate** of the slow one. Here the slow way is `table=0`, every neuron integrated
    for every image, on twenty chips; with `backend="spice"` it is every neuron as op-amps in ngspice.
    """)
    return


@app.cell
def _(af, design, plain, test):
    few = af.sweep(design, test, chips=20, table=0, specification=plain - 0.01, workers=1)
    few.yield_()
    return (few,)


@app.cell
def _(few, study):
    few.combined_with(study)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    Twenty chips alone leave the yield wide open. Together with the fast hundred the interval is a third narrower, and
    the mean accuracy is known to little more than a tenth of a point: both methods agree so closely, chip by chip, that
    twenty pairs are enough to say by how little they differ.

    ## What next

    - [Many chips](../sweeps.md): plans in files, folders that survive a kill, clusters, the cheapest parts that
      still meet a yield.
    - Failures too rare for counting, and the chip that fails first: `af.rare` and `af.worst_case`.
    - A chip below the mark need not be thrown away: [repair a chip](repair_a_chip.md).
    """)
    return


if __name__ == "__main__":
    app.run()
