"""Four simulators behind one protocol: reference, direct, brian, spice."""
