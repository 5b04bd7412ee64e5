"""What decides without a truth: held-out spokes, shares, weights. For any method."""
