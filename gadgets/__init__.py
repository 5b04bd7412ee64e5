"""gadgets: streaming."""
