"""Parts to build with: technologies, devices, E series, and the YAML files that name them."""
