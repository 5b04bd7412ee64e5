"""Zero-shot networks and their losses in the form of the published tables: ``make evaluate-ssl``."""
