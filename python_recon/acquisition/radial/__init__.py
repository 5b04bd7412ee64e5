"""What is special to spokes: where their samples lie, what area each stands for, delays, extent."""
