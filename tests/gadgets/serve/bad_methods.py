"""Methods that go wrong, each in its way; to be found through entry points, as another package's are."""

import os
import time

import torch

from python_recon.config import Section
from python_recon.methods.registry import Method, Reconstruction


def raising(kspace, maps, options, budget):
    raise RuntimeError("the field has vanished")


def giving_nan(kspace, maps, options, budget):
    shape = (kspace.n_frames, *kspace.matrix)
    return Reconstruction(torch.full(shape, float("nan"), dtype=torch.complex64))


def never_ending(kspace, maps, options, budget):
    while True:
        time.sleep(0.1)


def dying(kspace, maps, options, budget):
    os._exit(7)


RAISING = Method(raising, Section)
GIVING_NAN = Method(giving_nan, Section)
NEVER_ENDING = Method(never_ending, Section)
DYING = Method(dying, Section)
