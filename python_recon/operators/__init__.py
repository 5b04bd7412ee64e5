"""Linear operators of the forward model: NUFFT, SENSE, Toeplitz Gram, differences."""
