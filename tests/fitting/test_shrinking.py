from __future__ import annotations

import pytest
import torch

from python_recon.fitting.shrinking import shrunk, within_memory
from python_recon.methods.iconik import IconikOptions
from python_recon.methods.neural_kspace import NeuralKSpaceOptions
from python_recon.methods.st_inr import StInrOptions
from python_recon.methods.st_inr_paper import StInrPaperOptions
from python_recon.methods.subspace_inr import SubspaceInrOptions


def greedy(most, error=None):
    """An attempt for whose batch there is memory up to so many points, and what it was asked."""
    asked = []

    def attempt(options):
        asked.append(options.batch)
        if options.batch > most:
            raise error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return options.batch

    return attempt, asked


def test_what_fits_is_tried_once():
    attempt, asked = greedy(4096)
    assert within_memory(attempt, NeuralKSpaceOptions()) == (2048, NeuralKSpaceOptions())
    assert asked == [2048]
    assert shrunk(NeuralKSpaceOptions(), NeuralKSpaceOptions()) == ""


@pytest.mark.parametrize(
    "error", [None, MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_what_does_not_fit_is_tried_smaller_and_that_is_told(error):
    attempt, asked = greedy(600, error)
    result, taken = within_memory(attempt, NeuralKSpaceOptions())
    assert (result, asked, taken.batch) == (512, [2048, 1024, 512], 512)
    assert shrunk(NeuralKSpaceOptions(), taken) == "batch 512 instead of 2048, to fit into memory"


def test_what_never_fits_is_an_error():
    attempt, asked = greedy(1)
    with pytest.raises(torch.OutOfMemoryError):
        within_memory(attempt, NeuralKSpaceOptions())
    assert asked[-1] == 128


def test_other_errors_are_not_tried_again():
    attempt, asked = greedy(1, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        within_memory(attempt, NeuralKSpaceOptions())
    assert len(asked) == 1


@pytest.mark.parametrize(
    "kind", [NeuralKSpaceOptions, IconikOptions, SubspaceInrOptions, StInrOptions, StInrPaperOptions]
)
def test_options_get_smaller_down_to_an_end_and_stay_valid(kind):
    options, n_steps = kind(), 0
    while (smaller := options.smaller()) is not None:
        type(options).model_validate(smaller.model_dump())
        assert smaller != options
        options, n_steps = smaller, n_steps + 1
    assert 1 <= n_steps < 12


@pytest.mark.parametrize("kind", [SubspaceInrOptions, StInrOptions])
def test_a_field_that_goes_on_keeps_its_size(kind):
    assert kind(resume="field.safetensors").smaller() is None


def test_levels_and_table_shrink():
    smaller = SubspaceInrOptions().smaller()
    assert (smaller.levels, smaller.log2_table_size) == (4, 16)
