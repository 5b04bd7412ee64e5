"""What convolutional networks are: layers with a reproducible start, and how they meet the data."""
