"""A scan on its way: frames, previews, slices that wait for their fit, the ladder of methods."""
