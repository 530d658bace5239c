"""Shows what becomes of a trained network when FitzHugh-Nagumo circuits take the place of its hidden neurons.

The whole story on scikit-learn's digits: train, compare all simulators on the same chip, follow the accuracy from the
float weights to ngspice, export a chip, draw 200 chips. Pictures, netlists and the report go to the current folder.
"""

import analog_fhn as af


def main() -> None:
    train, test = af.load_data("digits", "train"), af.load_data("digits", "test")
    print("1/5  training a plain 64-16-10 network on the digits", flush=True)
    network = af.train_plain(train, n_hidden=16, epochs=100).network(train.scale)
    plain, design = network.accuracy(test.images, test.labels), af.Design(network, "discrete")
    short = af.Design(network.with_options(settle=20.0, control=40.0), "discrete").chip(1)
    print("2/5  the same chip and 3 images in all four simulators", flush=True)
    backends = {name: af.make_backend(name) for name in ("direct", "brian", "spice")}
    backends["reference"] = af.make_backend("reference", rtol=1e-6)  # keeps it within a minute
    for name, backend in backends.items():
        print(f"     {name:10} classes {af.classify(short, test.images[:3], backend=backend).predictions}", flush=True)

    print("3/5  accuracy from the float weights to the chip, stage by stage", flush=True)
    every = {"noise_images": len(test.labels), "brian_images": 100, "spice_images": 5, "spice_table": 17}
    stages = af.waterfall(design.chip(1), test.images, test.labels, **every)
    stages.save("waterfall.png", "From trained weights to chip 1")
    print("\n".join(f"     {s.name:40} {s.accuracy:7.1%} of {s.n_images} images" for s in stages), flush=True)

    print("4/5  a chip under one image as netlists, run in plain ngspice", flush=True)
    af.export(short, test.images[0], "chip", form="reduced")
    print(f"     class {af.run_exported('chip').argmax()}; {af.consumption(short, test.images[:1]).power:.1f} W")

    print("5/5  200 chips, and what each group of parts costs them", flush=True)
    study = af.sweep(design, test, chips=200, specification=plain - 0.01, sensitivity=True, folder="sweep")
    study.report("report.html")
    passed = study.yield_()[0]
    print(f"     yield {passed.share:.0%} ({passed.low:.0%} to {passed.high:.0%}); written: report.html, waterfall.png")


if __name__ == "__main__":
    main()
