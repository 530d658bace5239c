"""Four simulators behind one protocol (reference, direct, brian, spice), and response tables made by any of them."""

BACKENDS = ("reference", "direct", "brian", "spice", "vacask")
"""Names of the backends that come with the package; here, since asking for them must not import any."""
