"""Scans of our own: ``tables`` writes them to ISMRMRD files, ``headers`` has what their headers share."""
