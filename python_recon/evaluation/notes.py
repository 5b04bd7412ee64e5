"""What the numbers of an evaluation mean, in sentences that can stand below its table and figures."""

from __future__ import annotations

from collections.abc import Sequence

from python_recon.evaluation.runs import Case
from python_recon.evaluation.scoring import Normalisation

_NORMALISATIONS: dict[Normalisation, str] = {
    "least_squares": "Magnitudes are scaled to the truth by one least-squares factor for the series; the "
    "peak is the largest value of the truth; NRMSE and PSNR are those of the whole series.",
    "percentile": "Magnitudes of images and truth are each clipped at the 99th percentile of the series, "
    "stretched to 0..1 and cropped to the central half of the matrix; the peak is 1; NRMSE and PSNR are "
    "means over the frames.",
}
_PROFILES = (
    "SSIM and FSIM are means over the frames. The scores of x-t and y-t are those of bands of rows and of "
    "columns over time, an eighth of the image wide, through where the truth moves most: FSIM is the mean "
    "over their lines, PSNR (dB) the mean of both bands."
)
_EDGES = (
    "Edges: by how many frames the moving edges of time courses, where the truth moves most, take longer to "
    "rise from 10 to 90 % than those of the truth."
)
_COSTS = "Time and memory: coil maps, density and method; growth of resident memory, sampled every 5 ms."


def notes_on(cases: Sequence[Case]) -> list[str]:
    """Sampling, normalisation and meaning of what is in the cases."""
    notes = _samplings(cases)
    scores = {name for case in cases for row in case.comparison.rows for name in row.scores}
    if "nrmse" in scores:
        chosen = dict.fromkeys(case.comparison.normalisation for case in cases)
        notes += [*(_NORMALISATIONS[normalisation] for normalisation in chosen), _PROFILES]
    if "edge_widening" in scores:
        notes.append(_EDGES)
    if "lpips" in scores:
        notes.append("LPIPS: AlexNet, mean over the frames.")
    if "held_out_error" in scores:
        notes.append("The held-out error is relative, each sample weighted by the area it stands for.")
    n_repeats = len({case.repeat for case in cases})
    if n_repeats > 1:
        notes.append(
            f"Scores are mean ± standard deviation over {n_repeats} repeats; a figure shows the "
            "first one, with its own scores."
        )
    return [*notes, _COSTS]


def _samplings(cases: Sequence[Case]) -> list[str]:
    """One sentence for all scans that were sampled alike."""
    by_scan: dict[str, list[Case]] = {}
    for case in cases:
        by_scan.setdefault(case.scan, []).append(case)
    scans_of: dict[str, list[str]] = {}
    for scan, own in by_scan.items():
        scans_of.setdefault(_sampling(own), []).append(scan)
    if len(scans_of) == 1:
        return list(scans_of)
    return [f"{', '.join(scans)}: {text}" for text, scans in scans_of.items()]


def _sampling(cases: Sequence[Case]) -> str:
    samplings = [case.comparison.sampling for case in cases]
    kept = ", ".join(dict.fromkeys(sampling.kept for sampling in samplings))
    text = f"{samplings[0].n_frames} frames of {kept} spokes, of {samplings[0].measured} measured."
    held_out = ", ".join(dict.fromkeys(each.held_out for each in samplings if each.held_out is not None))
    return f"{text} Held out: {held_out} spokes a frame, which no method saw." if held_out else text
