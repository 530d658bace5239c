"""A chip of the board technology as something to build: its parts, schematic, orders and measurements."""
