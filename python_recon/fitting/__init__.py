"""How networks are fitted and kept: samples, steps, captured graphs, memory, checkpoints."""
