"""Volumes from readouts to a stack of images: everything is where it is in the patient."""

import numpy as np
import pytest

from python_recon.acquisition.stack.slab import slice_scan
from python_recon.acquisition.stack.volume import slices_of
from python_recon.config import load_config
from python_recon.errors import DataError
from python_recon.outputs.nifti import write_nifti
from python_recon.outputs.placement import Placement
from python_recon.resources.kept_data import KeptData
from python_recon.stream.chain import reconstruct_stream
from tests.volumes import CENTRE_MM, PARTITIONS, N, header, lines, stars

SETTINGS = {"method": "gridding", "preview": "gridding", "coils.virtual": 1}


def reconstructed(readouts, scan, **settings):
    config = load_config({**SETTINGS, **settings})
    return list(reconstruct_stream(slices_of(readouts, scan, KeptData()), slice_scan(scan), config))


def brightest_mm(stack):
    """Where the brightest voxel of a stack lies in the patient."""
    series = max(stack, key=lambda each: np.abs(each.images).max())
    place, (y, x) = (
        Placement.of(series),
        np.unravel_index(np.abs(series.images[0]).argmax(), series.images[0].shape),
    )
    return (
        place.first_voxel_mm + x * place.spacing_mm[0] * place.x_dir + y * place.spacing_mm[1] * place.y_dir
    )


@pytest.mark.parametrize("plane", ["transverse", "coronal", "sagittal", "oblique"])
@pytest.mark.parametrize("kind", ["radial", "cartesian"])
def test_a_point_of_the_patient_is_found_where_it_is(tmp_path, plane, kind):
    nibabel = pytest.importorskip("nibabel")
    from tests.volumes import PLANES

    read, phase, normal = (np.array(direction) for direction in PLANES[plane])
    point = np.array(CENTRE_MM) + 3 * 10.0 * read - 2 * 10.0 * phase + 2 * 6.0 * normal
    stack = reconstructed((stars if kind == "radial" else lines)(point, plane), header(kind))
    assert len(stack) == (PARTITIONS if kind == "radial" else N)
    np.testing.assert_allclose(brightest_mm(stack), point, atol=0.01)

    (path,) = write_nifti(stack, tmp_path / "stack.nii.gz")
    image = nibabel.load(path)
    values = np.abs(np.asarray(image.dataobj)).reshape(image.shape[:3])
    voxel = np.unravel_index(values.argmax(), values.shape)
    found = nibabel.affines.apply_affine(image.affine, voxel) * (-1, -1, 1)
    np.testing.assert_allclose(found, point, atol=0.01)
    sizes = sorted(image.header.get_zooms()[:3])
    np.testing.assert_allclose(sizes, [6.0, 10.0, 10.0], rtol=1e-5)


def test_partitions_that_the_header_does_not_announce_are_not_mixed():
    scan = header(limits={"kspace_encode_step_1": 23})
    with pytest.raises(DataError, match="the header announces none"):
        reconstructed(stars(), scan)
    scan = header("cartesian", limits={"kspace_encode_step_1": 15})
    with pytest.raises(DataError, match="the header announces none"):
        reconstructed(lines(), scan)


def test_previews_come_while_spokes_still_arrive():
    readouts = stars(n_spokes=48)
    incoming = iter(readouts)
    config = load_config({**SETTINGS, "method": "grasp", "binning.spokes_per_frame": 24})
    scan = header(limits={"kspace_encode_step_1": 47, "kspace_encode_step_2": PARTITIONS - 1})
    stream = reconstruct_stream(slices_of(incoming, scan, KeptData()), slice_scan(scan), config)
    assert next(stream).method == "gridding"
    assert len(list(incoming)) >= 20 * PARTITIONS
