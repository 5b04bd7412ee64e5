"""A scan sent through gadgets: configurations, the embedded host, the client, and what becomes of images."""
