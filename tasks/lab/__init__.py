"""A simulated market and local servers that speak the real protocols of the platforms."""
