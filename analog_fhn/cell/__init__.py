"""The circuit of one hidden unit, from its summed input to the row that it drives."""
