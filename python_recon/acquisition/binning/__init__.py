"""Readouts cut into frames: by number, by counters, by beats."""
