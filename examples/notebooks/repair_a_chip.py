"""Repair: stuck devices, trim codes, a readout trained on the chip as it is."""

import marimo

__generated_with = "0.25.2"
app = marimo.App()


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    # Repair a chip

    A chip that fails need not be thrown away. What is wrong with it can be measured from outside, by driving its
    inputs and reading its rows and outputs, and much of it can be mended by setting a few codes and writing its
    devices once more. This page takes one bad chip, and then a batch of them.
    """)
    return


@app.cell(hide_code=True)
def _():
    import marimo as mo

    return (mo,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## A bad process

    In this technology one device in fifty is stuck, half of them at the largest conductance and half at the smallest,
    whatever is written to them; writing misses its target by 10 % of the largest conductance; and resistors and
    capacitors are 15 % parts.
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

    bad = af.Technology.load("discrete").with_values(
        {
            "array.stuck_on": 0.01,
            "array.stuck_off": 0.01,
            "array.programming_error": 0.1,
            "resistor.tolerance": 0.15,
            "capacitor.tolerance": 0.15,
        }
    )
    design = af.Design(network, bad)
    return af, design, network, test, train


@app.cell
def _(af, design, network, test):
    as_made = [af.classify(design.chip(seed), test.images, table=9).accuracy(test.labels) for seed in range(12)]
    f"plain network {network.accuracy(test.images, test.labels):.1%}; chips: " + ", ".join(f"{a:.1%}" for a in as_made)
    return (as_made,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    This is the input array of the worst of them. Devices that are stuck on lie at the bright end of the scale; which of
    the bright ones they are is not to be seen, and has to be measured.
    """)
    return


@app.cell
def _(as_made, design):
    worst = min(range(12), key=lambda seed: as_made[seed])
    design.chip(worst).plot()
    return (worst,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## On the bench

    The repair must not see what no measurement could tell, so it is written against a *bench*, which has only what a
    laboratory has: drive inputs, read rows and outputs, set codes, write devices. `SimulatedBench` has a simulated
    chip on it. It works in three steps:

    - **trim**: each neuron is measured at a few drives, and the codes of two potentiometers per neuron take its gain
      and offset back to where they should be;
    - **readout**: the output weights are trained anew on what the rows really carry, and written;
    - **finetune**: the input array is measured row by row and written again until it is what was trained. A stuck
      device stays stuck, and its partner in the pair makes up for it.

    It is shown 400 images of the training set, and judged on test images that no step has seen.
    """)
    return


@app.cell
def _(af, design, test, train, worst):
    bench = af.SimulatedBench(design, worst)
    steps = af.repair(bench, ["trim", "readout", "finetune"], train.head(400), test)
    steps
    return (steps,)


@app.cell
def _(steps, worst):
    steps.plot(title=f"Chip {worst}")
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    Trimming alone does not help this chip: not its neurons but its arrays are what ails it. A readout that knows the
    rows as they are brings nearly half of the loss back, and writing the input array in a loop nearly all of the rest.

    A *run* is one image, or one pattern of test inputs, for a whole window; a *pulse* writes one device once. At a
    third of a second per run that is minutes on the bench, once in the life of the chip.

    ## The batch

    What is good for the worst chip is good for the others. Six of them, before and after the whole repair:
    """)
    return


@app.cell
def _(af, as_made, design, test, train):
    import pandas as pd

    batch = []
    for seed in range(6):
        mended = af.repair(af.SimulatedBench(design, seed), ["trim", "readout", "finetune"], train.head(400), test)
        batch.append({"chip": seed, "as made": as_made[seed], "repaired": mended[-1].accuracy})
    pd.DataFrame(batch).set_index("chip").map("{:.1%}".format)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## What next

    - [Repair of one chip](../trim.md): what each step does in detail, noisy readings, a real chip on a real bench.
    - [Training with the circuit inside](../training.md): a network that expects such chips needs less repair.
    """)
    return


if __name__ == "__main__":
    app.run()
