"""Everything that wants a GPU, in eight minutes: ``make cuda``, or ``python -m tests.cuda_check``.

On a GPU
--------
``make cuda`` needs the installed package and the tests, nothing else. It says which versions and which NUFFT
library run; compares each path on CUDA with its twin on the CPU (NUFFT, Gram, coil maps, every method,
captured steps with single ones, the Triton kernel with Torch, fields saved on one device and read on the
other, a GPU that is too small, two scans at once in the daemon); and takes the time of the first preview and
of every method at the published size, each within its limit. It goes on after a failure and lists all of
them; after eight minutes it ends with what there is. ``cuda_check/report.md`` is for people,
``cuda_check/report.json`` for machines. Methods are those of the presets: one that is added takes part.

Without CUDA it says so, and has run 0 tests. ``--device cpu`` runs the same parts on the CPU, small: the
tests do, so that the script is known to work before a GPU is there.
"""
