"""Samples at any known places, such as those of spirals."""
