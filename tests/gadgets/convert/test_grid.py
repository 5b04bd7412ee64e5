"""Cartesian arrays and stacks of stars as scans: the blob is where it was."""

from __future__ import annotations

import h5py
import ismrmrd
import numpy as np
import pytest

from gadgets.files.mrd_file import ScanFile
from gadgets.files.slices import read_slices
from gadgets.simulation.options import SimulateOptions
from gadgets.simulation.scan import simulate
from python_recon.config import load_config
from tests.gadgets.convert.conftest import BLOB, COILS, MATRIX, signal, spokes

N_LINES, N_SAMPLES, PARTITIONS = 24, 64, 6
HEIGHT = 1
"""Partitions above the middle at which the blob of a volume lies."""
GAINS = np.exp(2j * np.pi * np.arange(COILS) / COILS)


def grid():
    """(coil, ky, readout) of the blob over 32 x 24 pixels, twice oversampled along the readout."""
    kx, ky = np.meshgrid(np.arange(-32, 32) / 2, np.arange(-12, 12) * MATRIX / N_LINES)
    return (GAINS[:, None, None] * signal(np.stack([kx, ky], -1))).astype(np.complex64)


def waves(n=PARTITIONS):
    """(kz,) of a thin sheet."""
    return np.exp(-2j * np.pi * (np.arange(n) - n // 2) * HEIGHT / n)


def peaks(path):
    """The brightest place (slice, y, x) of the first frame of gridded images."""
    from python_recon.methods import gridding
    from python_recon.resources.schedule import Budget
    from python_recon.stream.preparation import prepare

    config = load_config({"coils.maps": "walsh", "coils.virtual": 1, "preview": "none", "method": "gridding"})
    brightest = {}
    for kspace in read_slices(path, "dataset", config):
        if np.abs(kspace.data).max() < 1e-3:
            continue
        prepared = prepare(kspace, config, Budget())
        options = gridding.GriddingOptions()
        image = abs(gridding.run(prepared.kspace, prepared.maps, options, Budget()).images.numpy())[0]
        brightest[image.max()] = (kspace.counters.slice, *np.unravel_index(image.argmax(), image.shape))
    return brightest[max(brightest)]


def cfl(path, array):
    """A BART array, its axes padded to 16."""
    shape = array.shape + (1,) * (16 - array.ndim)
    path.with_suffix(".hdr").write_text("# Dimensions\n" + " ".join(map(str, shape)) + "\n")
    array.astype(np.complex64).ravel(order="F").tofile(path.with_suffix(".cfl"))
    return path.with_suffix(".cfl")


KNOWN = ("--matrix", 32, "--field-of-view", 160)
IN_PLACE = (12 + BLOB[1], 16 + BLOB[0])


def test_numpy_lines(convert, tmp_path):
    np.save(tmp_path / "in.npy", grid())
    result = convert(tmp_path / "in.npy", tmp_path / "out.h5", *KNOWN, "--axes", "coil ky readout")
    assert result.exit_code == 0, result.output
    assert peaks(tmp_path / "out.h5") == (0, *IN_PLACE)
    with ScanFile(tmp_path / "out.h5") as scan:
        images = scan.header.encoding[0].reconSpace
    assert (images.matrixSize.x, images.matrixSize.y) == (32, 24)
    assert (images.fieldOfView_mm.x, images.fieldOfView_mm.y) == (160, 120), "pixels are square"


def test_lines_that_are_zero_are_no_readouts(convert, tmp_path):
    data = grid()
    data[:, 1::2] = 0
    np.save(tmp_path / "in.npy", data)
    result = convert(tmp_path / "in.npy", tmp_path / "out.h5", *KNOWN, "--axes", "coil ky readout")
    assert result.output.startswith("12 readouts")
    np.save(tmp_path / "zero.npy", np.zeros_like(data))
    result = convert(tmp_path / "zero.npy", tmp_path / "zero.h5", *KNOWN, "--axes", "coil ky readout")
    assert result.exit_code == 1
    assert "zero throughout" in result.stderr


def test_bart_lines_and_volumes(convert, tmp_path):
    flat = cfl(tmp_path / "flat", grid().transpose(2, 1, 0)[:, :, None])
    assert convert(flat, tmp_path / "flat.h5", *KNOWN).exit_code == 0
    assert peaks(tmp_path / "flat.h5") == (0, *IN_PLACE)
    volume = grid().transpose(2, 1, 0)[:, :, None] * waves()[None, None, :, None]
    path = cfl(tmp_path / "volume", volume)
    assert convert(path, tmp_path / "volume.h5", *KNOWN).exit_code == 0
    # Slices lie across the readout: x is ky, y is kz.
    assert peaks(tmp_path / "volume.h5") == (16 + BLOB[0], PARTITIONS // 2 + HEIGHT, IN_PLACE[0])


def test_a_stack_of_stars_with_an_axis_of_its_partitions(convert, tmp_path):
    trajectory = spokes(0, 34)
    stack = (
        GAINS[:, None, None, None] * signal(trajectory) * waves()[:, None, None]
    )  # coil, kz, spoke, readout
    np.savez(tmp_path / "in.npz", kspace=stack.astype(np.complex64), k=trajectory / MATRIX)
    given = [
        "--data",
        "kspace",
        "--trajectory",
        "k",
        "--axes",
        "coil kz spoke readout",
        "--unit",
        "normalised",
    ]
    result = convert(tmp_path / "in.npz", tmp_path / "out.h5", *KNOWN, *given)
    assert result.exit_code == 0, result.output
    assert peaks(tmp_path / "out.h5") == (PARTITIONS // 2 + HEIGHT, 16 + BLOB[1], 16 + BLOB[0])


def test_a_stack_of_stars_of_bart_whose_kz_is_in_the_trajectory(convert, tmp_path):
    places = np.tile(spokes(0, 34), (PARTITIONS, 1, 1))
    kz = np.repeat(np.arange(PARTITIONS) - PARTITIONS // 2, 34)
    data = signal(places) * np.repeat(waves(), 34)[:, None] * GAINS[:, None, None]
    path = cfl(tmp_path / "data", data.transpose(2, 1, 0)[None])
    three = np.concatenate([places, np.broadcast_to(kz[:, None, None], (*places.shape[:2], 1))], axis=-1)
    cfl(tmp_path / "traj", three.transpose(2, 1, 0))
    given = ["--trajectory", tmp_path / "traj", "--field-of-view", 160, "--matrix", 32]
    result = convert(path, tmp_path / "out.h5", *given)
    assert result.exit_code == 0, result.output
    assert peaks(tmp_path / "out.h5") == (PARTITIONS // 2 + HEIGHT, 16 + BLOB[1], 16 + BLOB[0])


def test_fastmri_files_tell_all(convert, tmp_path):
    header = ismrmrd.xsd.ismrmrdHeader(
        experimentalConditions=ismrmrd.xsd.experimentalConditionsType(H1resonanceFrequency_Hz=1),
        encoding=[
            ismrmrd.xsd.encodingType(
                trajectory=ismrmrd.xsd.trajectoryType("cartesian"),
                encodedSpace=_space(64, 24, 320, 120), reconSpace=_space(32, 24, 160, 120),
                encodingLimits=ismrmrd.xsd.encodingLimitsType(),
            )
        ],
    )  # fmt: skip
    with h5py.File(tmp_path / "in.h5", "w") as file:
        both = np.stack([0.5 * grid(), grid()])
        file["kspace"] = both.transpose(0, 1, 3, 2)  # slice, coil, readout, ky
        file["ismrmrd_header"] = header.toXML()
        file["reconstruction_rss"] = np.zeros((2, 32, 24), np.float32)
    result = convert(tmp_path / "in.h5", tmp_path / "out.h5")
    assert result.exit_code == 0, result.output
    assert peaks(tmp_path / "out.h5") == (1, *IN_PLACE)


def _space(x, y, wide, high):
    return ismrmrd.xsd.encodingSpaceType(
        matrixSize=ismrmrd.xsd.matrixSizeType(x=x, y=y, z=1),
        fieldOfView_mm=ismrmrd.xsd.fieldOfViewMm(x=wide, y=high, z=5),
    )


def test_cmrxrecon_files_need_their_size(convert, tmp_path):
    pairs = np.dtype([("real", "f4"), ("imag", "f4")])
    frames = np.stack([grid(), grid(), grid()])[:, None]  # time, slice, coil, ky, kx
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["kspace_full"] = np.ascontiguousarray(frames).view(pairs).reshape(frames.shape)
    assert "--field-of-view" in convert(tmp_path / "in.h5", tmp_path / "out.h5").stderr
    assert convert(tmp_path / "in.h5", tmp_path / "out.h5", *KNOWN).exit_code == 0
    assert peaks(tmp_path / "out.h5") == (0, *IN_PLACE)
    with ScanFile(tmp_path / "out.h5") as scan:
        assert scan.heads()["idx"]["repetition"].max() == 2


def test_an_ismrmrd_file_needs_no_conversion(convert, tmp_path):
    simulate(tmp_path / "in.h5", SimulateOptions(matrix=16, coils=2, frames=1, spokes_per_frame=3))
    result = convert(tmp_path / "in.h5", tmp_path / "out.h5")
    assert result.exit_code == 1
    assert "replay it as it is" in " ".join(result.stderr.split())


@pytest.mark.parametrize(("names", "told"), [(("a", "b"), "say which with --data"), ((), "nothing")])
def test_hdf5_files_without_kspace_are_refused(convert, tmp_path, names, told):
    with h5py.File(tmp_path / "in.h5", "w") as file:
        for name in names:
            file[name] = grid()
    assert told in " ".join(convert(tmp_path / "in.h5", tmp_path / "out.h5", *KNOWN).stderr.split())
