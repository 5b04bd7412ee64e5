"""OpenRecon: the ``label`` of an image of ours, and the ``package`` that a scanner installs."""
