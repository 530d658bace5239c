"""The paper in one page: the neuron, the waveform, gamma, and what the readout costs."""

import marimo

__generated_with = "0.25.2"
app = marimo.App()


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    # The paper in one page

    Bogatenko, Sergeev, Slepnev, Kurths and Semenova (Chaos 33(7), 2023, doi:10.1063/5.0152703) put FitzHugh-Nagumo
    neurons in place of the trained sigmoids of a network, and found that 73 to 83 % of MNIST's digits were still
    recognised, where the network itself knew 97.7 %. This page retells it in small, on scikit-learn's digits, and shows
    where the missing points went. [The paper, reproduced](../paper.md) has the same on MNIST, figure by figure.

    ## The neuron

    $$
    \varepsilon \frac{dx}{dt} = x - \frac{x^3}{3} - y, \qquad \frac{dy}{dt} = x + a + I
    $$

    The drive $I$ shifts the vertical nullcline. Where it crosses the middle branch of the cubic,
    $\left\lvert a + I \right\rvert < 1$, the neuron spikes; elsewhere it rests. This is the paper's figure 2, with four
    drives from left to right:
    """)
    return


@app.cell(hide_code=True)
def _():
    import marimo as mo

    return (mo,)


@app.cell
def _():
    import numpy as np

    import analog_fhn as af
    from analog_fhn import plots
    from analog_fhn.neuron import Coefficients, trajectory

    neuron = Coefficients.ideal(af.FHN(eps=0.01, a=1.0), 1)
    drives = [-2.3, -1.0, -0.3, 0.3]
    times = np.linspace(0.0, 20.0, 2001)  # T
    runs = {drive: trajectory(neuron, drive, times, -1.0, -0.6) for drive in drives}
    plots.phase_plane(neuron, drives, runs, "The drive shifts the vertical nullcline")
    return af, drives, neuron, np, plots


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    Over time, the drive decides not how high the spikes are but how long the neuron stays up and down. The time
    average is what moves:
    """)
    return


@app.cell
def _(af, neuron, plots):
    waves = {}
    for drive in (-1.6, -1.0, -0.4):
        one = af.cycle(neuron, drive)
        waves[f"I = {drive:g}, mean {one.x.mean():+.2f}, period {one.period:.2f} T"] = (one.phase * one.period, one.x)
    plots.traces(waves, "One period at three drives")
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    The means are $-(a + I)$, as the second equation says they must be: averaged over a period, $dy/dt$ is zero.

    ## The network

    A network of 12 sigmoid units, trained as usual. Its sigmoids are then replaced: the drive is
    $I = \gamma \tanh z$, with a multiplier $\gamma$ that the paper varies, and the output layer is given $x$ itself. At
    every instant some class leads; the class that leads longest is the answer (**vote**).
    """)
    return


@app.cell
def _(af):
    from sklearn.neural_network import MLPClassifier

    train, test = af.load_data("digits", "train"), af.load_data("digits", "test")
    mlp = MLPClassifier((12,), activation="logistic", learning_rate_init=0.02, tol=0.002, max_iter=400, random_state=1)
    mlp.fit(train.images, train.labels)
    network = af.from_model(mlp)
    f"plain network: {network.accuracy(test.images, test.labels):.1%}"
    return network, test


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Four readouts of one simulation

    The paper's readout differs from the trained network in two things at once: $x$ is not what the sigmoid delivered,
    and voting is not averaging. `classify_all` reads one simulation in several ways, so that the two are told apart:

    - *raw* feeds $x$ itself to the output layer (the paper), *recentred* feeds it back in units of the sigmoid, which
      in hardware is one constant current per output;
    - *vote* counts instants, *mean* averages, which in hardware is an RC low-pass.
    """)
    return


@app.cell
def _(af, network, np, test):
    from analog_fhn.inference import classify_all

    readouts = {
        "vote, raw x (the paper)": ("vote", False),
        "mean, raw x": ("mean", False),
        "vote, recentred": ("vote", True),
        "mean, recentred (ours)": ("mean", True),
    }
    gammas = [1.0, -0.1, -0.2, -0.5, -1.0, -2.0, -6.0]
    images, labels = test.images[:200], test.labels[:200]
    found = {name: [] for name in readouts}
    for gamma in gammas:
        chip = af.Chip.ideal(network.with_options(gamma=gamma, slope=1.0, settle=100.0, control=100.0))
        for name, result in zip(readouts, classify_all(chip, images, list(readouts.values())), strict=True):
            found[name].append(result.accuracy(labels))
    curves = {name: (np.array(gammas), np.array(accuracies)) for name, accuracies in found.items()}
    return curves, found, gammas, images, labels


@app.cell
def _(curves, images, labels, network, plots):
    plots.accuracy_against_gamma(
        curves, network.accuracy(images, labels), f"Accuracy against gamma, {len(labels)} digits"
    )
    return


@app.cell
def _(found, gammas):
    import pandas as pd

    pd.DataFrame(found, index=pd.Index(gammas, name="gamma")).map("{:.1%}".format)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    The first column begins as the paper's figure 4 does: nothing for positive $\gamma$, next to nothing near zero,
    rising as $\gamma$ becomes more negative. The others say why.

    - **The offset** is what raw $x$ gets wrong. Each output is off by a constant, in proportion to the sum of its
      weights. At $\gamma = 1$ it takes everything, and taking it out brings everything back, with nothing trained
      again.
    - **The vote** fails where $\gamma$ is small: the spikes, whose height does not depend on $\gamma$, drown what
      the drive says at any one instant, and only the average carries the answer. Below -1 it costs little.

    The last column, recentred and averaged, does not depend on $\gamma$ at all. It is what this package builds.

    One thing is different on MNIST. There the first column never reaches the network: it ends at 77 %. As $\gamma$
    becomes more negative the offset tends to half the sum of an output's weights, and with the paper's 100 neurons
    these sums differ by far more than with our twelve:
    """)
    return


@app.cell
def _(network):
    "sums of the output weights: " + ", ".join(f"{total:+.1f}" for total in network.output.weights.sum(axis=0))
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    From class to class they differ by a few units, which these scores survive; in the MNIST network they run from -34
    to -0.6.
    """)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## What next

    - [The paper, reproduced](../paper.md): all figures and tables, on all of MNIST, beside the published values.
    - [The neuron](../neuron.md): equations, regimes, and what the identity is used for.
    """)
    return


if __name__ == "__main__":
    app.run()
