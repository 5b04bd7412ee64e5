"""ISMRMRD's nouns to and from those of python_recon: readouts, flags, waveforms; images, series, study."""
