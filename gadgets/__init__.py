"""Streams, files and programs: all that speaks to Gadgetron, MRD clients, users and disks."""

import os

# Several libraries bring an OpenMP of their own. Threads that wait by spinning take the cores from those of
# the others and from the scans beside; the runtimes read this when they are loaded, which is later.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
