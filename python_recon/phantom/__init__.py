"""Simulated scans from a forward model that is not the one that reconstructs."""

from python_recon.phantom.heart import HeartPhantom
from python_recon.phantom.object import EXTENT, ObjectPhantom
from python_recon.phantom.phantom import FIELD_OF_VIEW_MM, Phantom
from python_recon.phantom.volume import SlabPhantom

__all__ = ["EXTENT", "FIELD_OF_VIEW_MM", "HeartPhantom", "ObjectPhantom", "Phantom", "SlabPhantom"]
