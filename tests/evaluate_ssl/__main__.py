"""Measure and write: ``python -m tests.evaluate_ssl FOLDER [--seeds N] [--matrix N]``.

Every fit is written down as it ends: a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from python_recon.evaluation import perceptual
from python_recon.evaluation.metrics import fsim, gmsd, hfen, match_scale, nrmse, psnr, ssim
from tests.evaluate_ssl.figure import draw
from tests.evaluate_ssl.scenes import PATTERNS, Scene, cine, still
from tests.evaluate_ssl.table import LOSSES, table
from tests.numerics import as_numpy, run_method

STILL = {"SENSE": ("cg_sense", {}), "subspace": ("subspace", {})} | {
    f"{name} {loss}": (name, {"loss": loss}) for name in ("zs_ssl", "zero_mirid") for loss in LOSSES
}
RADIAL = {"SENSE": ("cg_sense", {}), "subspace": ("subspace", {})} | {
    f"zs_ssl {loss}, {pairs}": ("zs_ssl", {"loss": loss, "pairs": pairs})
    for pairs in ("recorrupted", "masks")
    for loss in ("density", *LOSSES)
}


def scores(images: np.ndarray, truth: np.ndarray) -> dict[str, float | None]:
    """Of magnitudes, after the one factor that brings them closest to the truth."""
    matched, wanted = match_scale(images, truth), np.abs(truth)
    measures = {"nrmse": nrmse, "psnr": psnr, "ssim": ssim, "fsim": fsim, "hfen": hfen, "gmsd": gmsd}
    found: dict[str, float | None] = {name: measure(matched, wanted) for name, measure in measures.items()}
    peak = wanted.max()
    return found | {"lpips": perceptual.distance(matched / peak, wanted / peak)}


def measure(scene: Scene, method: str, options: dict) -> tuple[dict, np.ndarray]:
    """What a method makes of a scene."""
    began = time.monotonic()
    result = run_method(method, scene.kspace, scene.maps, **options)
    images = as_numpy(result.images)
    row = {
        "seconds": time.monotonic() - began,
        "shares": result.details.get("shares"),
        **scores(images, scene.truth),
    }
    return row, images


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--matrix", type=int, default=128)
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    done_file = chosen.folder / "scores.json"
    done = json.loads(done_file.read_text()) if done_file.exists() else {}
    for seed in range(chosen.seeds):
        for kind in (*PATTERNS, "radial cine"):
            is_still = kind in PATTERNS
            matrix = (chosen.matrix, chosen.matrix) if is_still else (chosen.matrix // 2, chosen.matrix // 2)
            scene = still(kind, seed, matrix) if is_still else cine(seed, matrix)
            for label, (method, options) in (STILL if is_still else RADIAL).items():
                key = f"{kind}|{label}|{seed}"
                if key in done:
                    continue
                done[key], images = measure(scene, method, options)
                done_file.write_text(json.dumps(done, indent=1))
                if seed == 0 and is_still:
                    np.save(chosen.folder / f"{kind}, {label}.npy", np.abs(images[0]))
                print(f"{key}: {done[key]['psnr']:.2f} dB, {done[key]['seconds']:.0f} s", flush=True)
    (chosen.folder / "table.md").write_text(table(done))
    draw(chosen.folder, {kind: still(kind, 0, (chosen.matrix, chosen.matrix)).truth[0] for kind in PATTERNS})
    print(table(done))


if __name__ == "__main__":
    main()
