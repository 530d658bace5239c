"""From a network to parts: technology, neuron circuit, crossbars, design, chip, netlist."""
