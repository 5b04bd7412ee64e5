"""Heart and breath: found in stamps, waveforms and data, and frames sorted by them."""
