"""What was acquired: noise, coils, spokes and their order, for any encoding."""
