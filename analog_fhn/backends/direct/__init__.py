"""A compiled integrator that steps many neurons at a time."""
