"""Cartesian slices from readouts to images: the object is where it is in the patient, and as large."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from python_recon.config import load_config
from python_recon.data import Geometry
from python_recon.outputs.nifti import write_nifti
from python_recon.stream.chain import reconstruct_stream
from tests.acquisition.cartesian.lines import Protocol
from tests.volumes import PLANES

PROTOCOL = Protocol()
"""24 x 32 pixels, the readout oversampled, over 240 x 320 mm: pixels of 10 mm; without any symmetry."""
POSITION_MM = np.array((12.0, -20.0, 35.0))
SETTINGS = {"method": "gridding", "preview": "none", "coils.virtual": 3, "coils.maps": "low_resolution"}


def reconstructed(plane):
    fov = PROTOCOL.scan.field_of_view_mm
    geometry = Geometry(tuple(POSITION_MM), *PLANES[plane], field_of_view_mm=fov)
    lines = [replace(line, geometry=geometry, time_s=0.004 * n) for n, line in enumerate(PROTOCOL.lines())]
    return list(reconstruct_stream(lines, PROTOCOL.scan, load_config(SETTINGS)))


def patient_mm(plane, y, x):
    """Where a pixel of the object lies; pixel n // 2 is at the position of the slice."""
    read, phase, _ = (np.array(direction) for direction in PLANES[plane])
    height, width = PROTOCOL.matrix
    return POSITION_MM + 10.0 * ((x - width // 2) * read + (y - height // 2) * phase)


@pytest.mark.parametrize("plane", PLANES)
def test_every_voxel_of_the_object_is_where_it_is_in_the_patient(tmp_path, plane):
    nibabel = pytest.importorskip("nibabel")
    series = reconstructed(plane)
    (path,) = write_nifti(series, tmp_path / "slice.nii.gz")
    image = nibabel.load(path)
    values = np.abs(np.asarray(image.dataobj)).reshape(image.shape[:3])
    np.testing.assert_allclose(sorted(image.header.get_zooms()[:3]), [5.0, 10.0, 10.0], rtol=1e-5)

    to_voxel = np.linalg.inv(image.affine)
    y, x = np.meshgrid(*map(np.arange, PROTOCOL.matrix), indexing="ij")
    places = np.stack([patient_mm(plane, *pixel) for pixel in zip(y.flat, x.flat, strict=True)])
    voxels = nibabel.affines.apply_affine(to_voxel, places * (-1, -1, 1))
    np.testing.assert_allclose(voxels, np.rint(voxels), atol=1e-3)
    found = values[tuple(np.rint(voxels).astype(int).T)].reshape(PROTOCOL.matrix)
    truth = np.abs(PROTOCOL.truth)
    assert np.corrcoef(found.ravel(), truth.ravel())[0, 1] > 0.99
