"""Cells of transistors on foundry models: an OTA-C FitzHugh-Nagumo neuron between a drive stage and an integrator."""
