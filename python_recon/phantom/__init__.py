"""Simulated scans from an analytic forward model that is not the one that reconstructs."""

from python_recon.phantom.heart import FIELD_OF_VIEW_MM, HeartPhantom

__all__ = ["FIELD_OF_VIEW_MM", "HeartPhantom"]
