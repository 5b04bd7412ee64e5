"""Images of fields of k-space, and the signal of such images."""

from __future__ import annotations

import torch

from python_recon.fields.combining import image_signal
from python_recon.fields.field import KSpaceField, SeparableField
from python_recon.fields.low_rank import LowRankStart
from tests.fields.toys import LinearField, Polynomial, blob, generator, smooth_maps
from tests.numerics import relative_error

MATRIX = (28, 32)
MAPS = smooth_maps(3, MATRIX)
COMPONENTS = torch.stack([blob(MATRIX), 0.5 * blob(MATRIX, (-0.1, 0.05))])


class Imaged(SeparableField):
    """A field whose components are the signals of coil images (component, coil, y, x)."""

    def __init__(self, coil_images):
        KSpaceField.__init__(self, coil_images.shape[1])
        self.coil_images, self.temporal = coil_images, Polynomial(len(coil_images))

    def components(self, k):
        unit, t = torch.ones(1, *MATRIX, dtype=torch.complex64), torch.zeros(len(k))
        coils = [
            [LowRankStart(image[None], unit, Polynomial(1)).signal(k, t)[:, 0] for image in images]
            for images in self.coil_images
        ]
        return torch.stack([torch.stack(each, -1) for each in coils], 1)


def places(n=200):
    k = torch.rand(n, 2, generator=generator()) - 0.5
    return k, torch.rand(n, generator=generator(1))


def test_what_the_maps_allow_keeps_its_signal():
    expected = LowRankStart(COMPONENTS, MAPS, Polynomial(2)).signal(*places())
    found = image_signal(Imaged(COMPONENTS[:, None] * MAPS), MAPS)(*places())
    assert relative_error(found, expected) < 1e-2


def test_what_no_image_has_is_without_signal():
    """Two coils that cancel each other in every pixel."""
    cancelling = torch.stack([MAPS[1].conj(), -MAPS[0].conj(), torch.zeros(MATRIX)])
    net = Imaged(COMPONENTS[:, None] * cancelling)
    assert float(net(*places()).abs().max()) > 1e-3
    assert relative_error(image_signal(net, MAPS)(*places()) + net(*places()), net(*places())) < 2e-2


def test_other_fields_are_taken_as_they_are():
    net = LinearField(3, seed=1)
    assert image_signal(net, MAPS) is net
