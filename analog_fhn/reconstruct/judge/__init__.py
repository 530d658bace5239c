"""Whether a twin is what was recorded."""
