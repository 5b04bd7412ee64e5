"""Lines of a Cartesian grid: where they lie, and how densely."""
