"""A backend made of another one: every neuron is measured at a grid of drives, images are read by interpolation."""
