"""Weights as conductances: crossbars of devices, their wires, and the amplifiers that read them."""
