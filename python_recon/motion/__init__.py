"""Motion between frames: optical flow, and frames averaged with those that were moved onto them."""
