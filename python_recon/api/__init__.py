"""The front door for programs: arrays of one's own are checked, reconstructed and handed back as a series."""

from python_recon.api.reconstruct import reconstruct

__all__ = ["reconstruct"]
