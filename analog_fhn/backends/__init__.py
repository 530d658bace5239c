"""Four simulators behind one protocol (reference, direct, brian, spice), and response tables made by any of them."""
