"""A neuron with its injected current as control input, learned from current-clamp sweeps: a driven twin."""
