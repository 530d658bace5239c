"""The board's cell: a tanh pair, an FHN neuron of three op-amps and two multipliers, and a row driver."""
