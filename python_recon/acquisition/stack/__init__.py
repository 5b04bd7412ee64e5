"""Volumes, made into slices by one FFT along the axis that is fully sampled."""
