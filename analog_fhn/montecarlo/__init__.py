"""Many chips: plan, run, statistics."""
