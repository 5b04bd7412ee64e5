"""What the command line makes of images beside the ISMRMRD file: pictures, films, DICOM, NIfTI, a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from python_recon.errors import ConfigError, DataError, ReconError
from python_recon.resources.new_files import require_free

if TYPE_CHECKING:
    from ismrmrd.xsd import ismrmrdHeader

    from python_recon.data import ImageSeries

PreviewOption = Annotated[Path | None, typer.Option("--preview", help="Folder for PNG and GIF files.")]
Mp4Option = Annotated[
    Path | None, typer.Option("--mp4", help="Folder for films (needs gadgetron-pisco[mp4]).")
]
DicomOption = Annotated[Path | None, typer.Option("--dicom", help="Folder for DICOM files.")]
NiftiOption = Annotated[Path | None, typer.Option("--nifti", help="NIfTI file (.nii, .nii.gz).")]
PlainOption = Annotated[bool, typer.Option("--plain", help="Pictures and films without labels and notice.")]
ReportOption = Annotated[Path | None, typer.Option("--report", help="HTML file for the report.")]


@dataclass(frozen=True)
class Facts:
    """What the report tells beside the images."""

    scan: Mapping[str, str]
    config: Mapping[str, Any]
    warnings: Sequence[str]
    milestones: Mapping[str, float]
    """Seconds from the start, by what was reached then."""
    coil_maps: Sequence[ImageSeries] = field(default_factory=tuple)


@dataclass(frozen=True)
class Views:
    """Where images go beside their ISMRMRD file; None: nowhere."""

    preview: Path | None = None
    mp4: Path | None = None
    dicom: Path | None = None
    nifti: Path | None = None
    report: Path | None = None
    is_plain: bool = False
    """Pictures and films without labels."""

    @property
    def places(self) -> list[Path]:
        """All that are wanted."""
        places = (self.preview, self.mp4, self.dicom, self.nifti, self.report)
        return [place for place in places if place is not None]

    def check(self, overwrite: bool) -> None:
        """Find out before the work what would spoil it after; raises ConfigError or BackendError."""
        for folder in (self.preview, self.mp4, self.dicom):
            if folder is not None and folder.exists() and not folder.is_dir():
                raise ConfigError(f"{folder} is a file; expected a folder, or a new name")
        for file in (self.nifti, self.report):
            if file is not None:
                require_free(file, overwrite=True)
        if self.mp4 is not None:
            from python_recon.outputs.film import require_encoder

            require_encoder()
        if self.dicom is not None:
            from python_recon.outputs.dicom import require_empty

            require_empty(self.dicom, overwrite)
        if self.nifti is not None:
            from python_recon.outputs.nifti import require_name

            require_name(self.nifti, overwrite)

    def write(self, series: Sequence[ImageSeries], header: ismrmrdHeader | None) -> None:
        """Everything but the report; a format that fails costs no other.

        Raises
        ------
        DataError
            At the end, where images lacked what a format needs, such as their place in the patient, or where
            a place could not be written.
        """
        failures = []
        for name, write in _WRITERS.items():
            try:
                if getattr(self, name) is not None:
                    write(self, series, header)
            except (ReconError, OSError) as error:
                failures.append(f"nothing, or not all, was written to {getattr(self, name)}: {error}")
        if failures:
            raise DataError("; ".join(failures))

    def write_report(self, series: Sequence[ImageSeries], facts: Facts) -> None:
        """The report, where it is wanted; raises DataError where it cannot be written."""
        if self.report is None:
            return
        from python_recon.outputs.report import write_report

        try:
            write_report(self.report, series, **vars(facts))
        except OSError as error:
            raise DataError(f"the report {self.report} cannot be written: {error}") from error


def _write_preview(views: Views, series: Sequence[ImageSeries], _header: ismrmrdHeader | None) -> None:
    from python_recon.outputs.preview import write_previews

    if views.preview is not None:
        write_previews(series, views.preview, is_plain=views.is_plain)


def _write_mp4(views: Views, series: Sequence[ImageSeries], _header: ismrmrdHeader | None) -> None:
    from python_recon.outputs.film import write_films

    if views.mp4 is not None:
        write_films(series, views.mp4, is_plain=views.is_plain)


def _write_dicom(views: Views, series: Sequence[ImageSeries], header: ismrmrdHeader | None) -> None:
    from gadgets.translate.study import study_from
    from python_recon.outputs.dicom import write_dicom

    if views.dicom is not None:
        write_dicom(series, study_from(header), views.dicom)


def _write_nifti(views: Views, series: Sequence[ImageSeries], _header: ismrmrdHeader | None) -> None:
    from python_recon.outputs.nifti import write_nifti

    if views.nifti is not None:
        write_nifti(series, views.nifti)


_WRITERS = {"preview": _write_preview, "mp4": _write_mp4, "dicom": _write_dicom, "nifti": _write_nifti}
"""What writes each place of a :class:`Views`."""
