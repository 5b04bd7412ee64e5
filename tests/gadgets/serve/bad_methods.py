"""Methods that go wrong, each in its way; to be found through entry points, as another package's are."""

import os
import time

import torch

from python_recon.config import Section
from python_recon.methods import gridding
from python_recon.methods.registry import Method, Reconstruction
from python_recon.resources.schedule import Steps


def raising(kspace, maps, options, budget):
    raise RuntimeError("the field has vanished")


def giving_nan(kspace, maps, options, budget):
    shape = (kspace.n_frames, *kspace.matrix)
    return Reconstruction(torch.full(shape, float("nan"), dtype=torch.complex64))


def never_ending(kspace, maps, options, budget):
    while True:
        time.sleep(0.1)


def never_converging(kspace, maps, options, budget):
    """An honest iteration that has no end of its own."""
    steps = Steps(budget, "for ever", 1 << 40)
    count = 0
    while not steps.is_last(count := count + 1):
        time.sleep(0.01)
    return gridding.run(kspace, maps, gridding.GriddingOptions(), budget)


def greedy(kspace, maps, options, budget):
    return Reconstruction(torch.empty((1 << 20, *kspace.matrix, 1 << 20), dtype=torch.complex64))


def shouting(kspace, maps, options, budget):
    """As libraries in C do, past Python."""
    os.write(2, b"[finufft] a line that is no JSON\nand ")
    os.write(2, b"another\n")
    return gridding.run(kspace, maps, gridding.GriddingOptions(), budget)


def dying(kspace, maps, options, budget):
    os._exit(7)


RAISING = Method(raising, Section)
GIVING_NAN = Method(giving_nan, Section)
NEVER_ENDING = Method(never_ending, Section)
NEVER_CONVERGING = Method(never_converging, Section)
GREEDY = Method(greedy, Section)
SHOUTING = Method(shouting, Section)
DYING = Method(dying, Section)
