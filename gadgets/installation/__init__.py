"""Is everything here and does it work: `doctor` and the self-test."""
