"""What is special to spokes: where their samples lie, their density, delays, the extent of the object."""
