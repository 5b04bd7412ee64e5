"""``render`` as a user calls it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import h5py
import ismrmrd
import nibabel
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from gadgets.cli import app
from gadgets.cli.picture import Picture
from gadgets.cli.rendering import frame_times, image_size, rendered
from gadgets.files.slices import read_slice
from gadgets.simulation.scan import SimulateOptions, simulate
from gadgets.translate.clock import TICK_S
from gadgets.translate.series import read_series
from python_recon.config import load_config
from python_recon.data import Counters, Geometry
from python_recon.fields.breathing import BreathingBasis
from python_recon.fields.building import FieldOptions, build_field
from python_recon.fields.fitted import FittedField
from python_recon.fields.low_rank import LowRankStart
from python_recon.fields.time_axis import SplineBasis, TimeAxis
from python_recon.fitting.checkpoint import Checkpoint, Origin, load, save
from python_recon.outputs.placement import Placement
from python_recon.stream.chain import reconstruct_slice

WIDE, NATIVE = (50, 60), (40, 48)
"""Matrix (y, x) of the field, whose field of view is wider than that of the images."""
START_S, DURATION_S = 100.0, 2.0
GEOMETRY = Geometry((5.0, 6.0, 7.0), (0, 1, 0), (0, 0, 1), (1, 0, 0), (0, 0, -9.0), (240.0, 200.0, 8.0))
FRAMES_S = START_S + 0.25 + 0.5 * np.arange(4)
runner = CliRunner()


def render(*arguments: object):
    return runner.invoke(app, ["render", *(str(argument) for argument in arguments)])


def blob(matrix, pixel_mm, centre_mm=(30.0, -20.0), width_mm=12.0):
    """(y, x) Gaussian at (x, y) in millimetres from the isocentre."""
    y, x = np.meshgrid(
        *((np.arange(n) - n // 2) * size for n, size in zip(matrix, pixel_mm, strict=True)), indexing="ij"
    )
    return np.exp(-((x - centre_mm[0]) ** 2 + (y - centre_mm[1]) ** 2) / (2 * width_mm**2))


def checkpoint(kind="plain", has_clock=True) -> Checkpoint:
    """A blob whose brightness is 1 + t."""
    times = np.linspace(0, 1, 4)
    spline = SplineBasis(np.stack([1 + times], 1), times)
    pixels = torch.as_tensor(blob(WIDE, (5.0, 5.0))[None].astype(np.complex64))
    maps = torch.ones(1, *WIDE, dtype=torch.complex64)
    options = FieldOptions(n_features=8, width=4, layers=1)
    net = build_field(options, 1, torch.device("cpu"), "plain", lambda: spline, 0)
    axis = TimeAxis(kind, START_S, DURATION_S)
    fitted = FittedField(net, LowRankStart(pixels, maps, spline), (0.0,), 3.0, maps, axis)
    origin = Origin("heart 7", Counters(slice=2, set=1), GEOMETRY, NATIVE, tuple(FRAMES_S), has_clock)
    return Checkpoint(fitted, "neural_kspace", options.model_dump(), origin)


@pytest.fixture
def field(tmp_path):
    path, made = tmp_path / "field.safetensors", checkpoint()
    save(made.fitted, path, made.method, FieldOptions(**made.options), made.origin)
    return path


@pytest.fixture
def output(tmp_path):
    return tmp_path / "images.h5"


def read(path):
    with closing(ismrmrd.Dataset(str(path), create_if_needed=False)) as dataset:
        return [dataset.read_image("image_2", n) for n in range(dataset.number_of_images("image_2"))]


class TestImages:
    def test_without_wishes_they_are_the_frames_of_the_scan(self, field, output):
        result = render(field, "-o", output)
        assert result.exit_code == 0, result.stderr
        assert f"4 images of 48 x 40 -> {output}" in result.stderr
        images = read(output)
        assert [image.data.shape for image in images] == [(1, 1, 40, 48)] * 4
        assert [image.repetition for image in images] == [0, 1, 2, 3]
        assert [image.image_index for image in images] == [1, 2, 3, 4]
        stamps = [image.acquisition_time_stamp for image in images]
        assert stamps == [round(time / TICK_S) for time in FRAMES_S]

    def test_they_lie_where_the_scan_lay(self, field, output):
        render(field, "-o", output, "--frames", 1)
        (image,) = read(output)
        assert tuple(image.field_of_view) == (240, 200, 8)
        assert tuple(image.position) == (5, 6, 7)
        assert (tuple(image.read_dir), tuple(image.slice_dir)) == ((0, 1, 0), (1, 0, 0))
        assert tuple(image.patient_table_position) == (0, 0, -9)
        assert (image.slice, image.set) == (2, 1)
        assert image.meta["method"] == "neural_kspace"

    @pytest.mark.parametrize(("matrix", "size"), [(96, (80, 96)), (24, (20, 24)), (70, (58, 70))])
    def test_any_matrix_shows_the_object_in_its_place_and_size(self, field, output, matrix, size):
        result = render(field, "-o", output, "--frames", 1, "--matrix", matrix)
        assert result.exit_code == 0, result.stderr
        (image,) = read(output)
        assert image.data.shape == (1, 1, *size)
        pixel_mm = image.field_of_view[1] / size[0], image.field_of_view[0] / size[1]
        assert image.field_of_view[0] == pytest.approx(240, rel=0.02)
        expected = blob(size, pixel_mm)
        shown = image.data[0, 0] / image.data.max()
        np.testing.assert_allclose(shown, expected / expected.max(), atol=0.02)

    def test_intensities_do_not_depend_on_the_matrix(self):
        made = checkpoint()
        peaks = [
            np.abs(next(rendered(made, FRAMES_S[:1], Picture.of(made, size))).images).max()
            for size in (NATIVE, (120, 144))
        ]
        assert peaks[1] == pytest.approx(peaks[0], rel=0.03)

    def test_more_frames_fill_the_scan_evenly(self, field, output):
        assert render(field, "-o", output, "--frames", 10).exit_code == 0
        images = read(output)
        times = [image.acquisition_time_stamp * TICK_S for image in images]
        np.testing.assert_allclose(times, START_S + 0.1 + 0.2 * np.arange(10), atol=TICK_S)
        brightness = np.array([image.data.max() for image in images], float)
        expected = 1 + (np.array(times) - START_S) / DURATION_S
        np.testing.assert_allclose(brightness / brightness[0], expected / expected[0], rtol=2e-3)

    def test_a_part_of_the_scan_at_its_own_rate(self, field, output):
        assert render(field, "-o", output, "--from", 0.5, "--to", 1.5).exit_code == 0
        times = [image.acquisition_time_stamp * TICK_S for image in read(output)]
        np.testing.assert_allclose(times, START_S + np.array([0.75, 1.25]), atol=TICK_S)

    def test_a_crop_shows_its_part_in_its_place(self, field, output, tmp_path):
        """At the pixels of the whole, and where the whole has them."""
        whole = tmp_path / "whole.h5"
        for path, options in ((whole, []), (output, ["--crop", "22:41, 9:26"])):
            assert render(field, "-o", path, "--frames", 1, *options).exit_code == 0
        (all_of_it,), (part,) = read_series(whole), read_series(output)
        assert part.images.shape == (1, 17, 19)
        expected = all_of_it.images[:, 9:26, 22:41]
        np.testing.assert_allclose(part.images / part.images.max(), expected / expected.max(), atol=2e-3)
        places = Placement.of(all_of_it), Placement.of(part)
        assert places[1].spacing_mm == pytest.approx(places[0].spacing_mm)
        dx, dy = places[0].spacing_mm
        moved = 22 * dx * places[0].x_dir + 9 * dy * places[0].y_dir
        np.testing.assert_allclose(places[1].first_voxel_mm, places[0].first_voxel_mm + moved, atol=1e-3)

    def test_a_crop_stays_in_its_place_at_finer_pixels(self, field, output):
        assert (
            render(field, "-o", output, "--frames", 1, "--crop", "24:40,12:20", "--matrix", 144).exit_code
            == 0
        )
        (series,) = read_series(output)
        assert series.images.shape == (1, 24, 48)
        assert series.geometry.field_of_view_mm == pytest.approx((80, 40, 8))
        # The isocentre of the crop lies at pixel (16, 32) of the scan's own images of 5 mm.
        offset = (32 - 24) * 5.0 * np.array(GEOMETRY.read_dir) + (16 - 20) * 5.0 * np.array(
            GEOMETRY.phase_dir
        )
        np.testing.assert_allclose(series.geometry.position_mm, GEOMETRY.position_mm + offset, atol=1e-4)

    def test_the_breath_can_be_held(self, tmp_path, output):
        """The field is brighter at one end of the breath; held there, it stays so."""
        made, times = checkpoint(), np.linspace(0, 1, 40)
        positions = 0.5 - 0.5 * np.cos(12 * times)
        basis = BreathingBasis((1 + positions)[:, None], times, positions)
        start = LowRankStart(made.fitted.start.pixels, made.fitted.maps, basis)
        breathing = replace(made, fitted=replace(made.fitted, net=None, start=start))
        path = tmp_path / "breathing.safetensors"
        save(breathing.fitted, path, made.method, FieldOptions(), made.origin)
        levels = []
        for held in ([], ["--breathing", 0], ["--breathing", 1]):
            assert render(path, "-o", output, "--frames", 9, *held, "--overwrite").exit_code == 0
            images = np.concatenate([series.images for series in read_series(output)])
            levels.append(np.abs(images).max((1, 2)))
        assert np.ptp(levels[0]) > 0.4 * levels[0].max()
        for level in levels[1:]:
            assert np.ptp(level) < 0.02 * level.max()

    def test_other_formats(self, field, output, tmp_path):
        places = ("--nifti", tmp_path / "x.nii", "--dicom", tmp_path / "dicom")
        result = render(field, "-o", output, "--frames", 6, *places)
        assert result.exit_code == 0, result.stderr
        assert str(tmp_path / "x.nii") in result.stderr
        assert nibabel.load(tmp_path / "x.nii").shape == (48, 40, 1, 6)
        assert len(list((tmp_path / "dicom").rglob("*.dcm"))) == 6
        refused = render(field, "-o", tmp_path / "other.h5", *places)
        assert refused.exit_code == 1
        assert "holds DICOM files already" in refused.stderr
        assert not (tmp_path / "other.h5").exists()

    def test_previews(self, field, output, tmp_path):
        result = render(field, "-o", output, "--frames", 6, "--preview", tmp_path / "views")
        assert result.exit_code == 0, result.stderr
        (path,) = (tmp_path / "views").glob("*.gif")
        with Image.open(path) as animation:
            assert animation.n_frames == 6
        assert len(list((tmp_path / "views").glob("*.png"))) == 2


class TestTimes:
    def test_a_beat_may_begin_anywhere(self):
        times = frame_times(checkpoint("periodic"), 4, -1.0, 1.0)
        np.testing.assert_allclose(times, START_S + np.array([-0.75, -0.25, 0.25, 0.75]))

    def test_of_a_scan_without_clock_no_times_are_told(self):
        made = checkpoint(has_clock=False)
        (series,) = rendered(made, frame_times(made, 2, None, None), Picture.of(made, NATIVE))
        assert series.times_s is None
        assert series.measurement_id == "heart 7"

    def test_the_matrix_keeps_its_shape(self):
        assert [image_size(checkpoint(), n) for n in (None, 48, 96, 50)] == [
            NATIVE,
            NATIVE,
            (80, 96),
            (42, 50),
        ]


class TestRefusals:
    @staticmethod
    def error_of(result) -> str:
        assert result.exit_code == 1, result.output
        (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        return line

    @pytest.mark.parametrize(("start", "end"), [(-0.1, 1.0), (0.5, 2.1), (1.0, 1.0), (1.5, 0.5), ("nan", 1)])
    def test_times_outside_the_scan(self, field, output, start, end):
        error = self.error_of(render(field, "-o", output, "--from", start, "--to", end))
        assert "expected an interval within the 0 to 2 s of the scan" in error
        assert not output.exists()

    @pytest.mark.parametrize("crop", ["1:49,2:3", "5:5,0:9", "0:9", "a:b,c:d", "0:9,-1:5", "0:9,2:41"])
    def test_crops_that_are_none(self, field, output, crop):
        error = self.error_of(render(field, "-o", output, "--crop", crop))
        assert f"--crop {crop}: expected X0:X1,Y0:Y1 in whole pixels within 0:48,0:40" in error
        assert not output.exists()

    def test_a_field_that_does_not_know_the_breath(self, field, output):
        error = self.error_of(render(field, "-o", output, "--breathing", 0.5))
        assert "does not know the breath" in error
        assert not output.exists()

    def test_no_field(self, output, tmp_path):
        (tmp_path / "a.safetensors").write_text("hello")
        assert "is no checkpoint" in self.error_of(render(tmp_path / "a.safetensors", "-o", output))
        assert "there is no checkpoint" in self.error_of(render(tmp_path / "b.safetensors", "-o", output))
        assert not output.exists()

    def test_the_output_exists(self, field, output):
        output.write_text("precious")
        assert "--overwrite" in self.error_of(render(field, "-o", output))
        assert output.read_text() == "precious"
        assert render(field, "-o", output, "--overwrite").exit_code == 0
        assert h5py.is_hdf5(output)

    def test_the_output_is_the_field(self, field):
        before = field.read_bytes()
        assert "would replace the field" in self.error_of(render(field, "-o", field, "--overwrite"))
        assert field.read_bytes() == before


def test_a_simulated_scan_from_the_fit_to_the_rendering(tmp_path):
    """The default rendering is the series of the fit."""
    scan, path = tmp_path / "scan.h5", tmp_path / "field.safetensors"
    simulate(scan, SimulateOptions(matrix=32, coils=3, frames=5, spokes_per_frame=8, seed=7))
    options = {"checkpoint": str(path), "steps": 5, "batch": 64, "width": 16, "n_features": 32}
    config = load_config({"method": "pisco", "device": "cpu", "field_of_view_scale": 1.0, "options": options})
    kspace = read_slice(scan, "dataset", 0, config)
    series = reconstruct_slice(kspace, config, "pisco")
    assert render(path, "-o", tmp_path / "images.h5").exit_code == 0
    shown = np.concatenate([each.images for each in read_series(tmp_path / "images.h5")])
    expected = np.abs(series.images)
    np.testing.assert_allclose(np.abs(shown) / np.abs(shown).max(), expected / expected.max(), atol=2e-3)
    np.testing.assert_allclose(load(path).origin.frame_times, series.times_s, atol=1e-6)
    assert load(path).origin.geometry == series.geometry
