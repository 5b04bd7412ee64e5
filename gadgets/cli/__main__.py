"""``python -m gadgets.cli``: as ``gadgetron-pisco``."""

from gadgets.cli import main

main()
