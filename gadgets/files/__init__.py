"""ISMRMRD files read and written: scans, slices, images, tables, and what `info` tells of them."""
