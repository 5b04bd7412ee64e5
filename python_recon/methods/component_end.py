"""What the images of a scan get of what a network changes: the share that has the least risk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from python_recon.fitting.pairs import Start
from python_recon.judging.risk import Risk
from python_recon.methods.component_scan import ComponentScan, PairOptions
from python_recon.methods.registry import Reconstruction

_UNUSED = "the risk gives the network no share: these are the images of subspace"


def start_alone(scan: ComponentScan, why: str) -> Reconstruction:
    """The images of ``subspace``, and why there are no others."""
    told = f"{why}: the images are those of subspace"
    return Reconstruction(scan.solution.images, {"shares": (0.0,)}, comment=told, made_by="subspace")


@dataclass(frozen=True)
class ComponentEnd:
    """What a network is judged by: the scan, and the same with a disturbance."""

    scan: ComponentScan
    risk: Risk
    starts: tuple[Start, Start]
    """Of the data as they are, and of the disturbed ones."""

    @classmethod
    def of(cls, scan: ComponentScan, options: PairOptions) -> ComponentEnd:
        """That of a scan; the seed is that of the disturbance."""
        risk = Risk(scan.kspace, scan.maps, options.seed)
        return cls(scan, risk, (scan.own_start, scan.disturbed_start(risk, options.start_steps)))

    @torch.no_grad()
    def reconstruction(
        self, change: Callable[[Start], torch.Tensor], network: str, told: str
    ) -> Reconstruction:
        """The images at the share of least risk, with their expected error.

        Parameters
        ----------
        change
            Of the components (component, y, x) of a start, by the network.
        network
            What the comment calls it.
        told
            What the comment says beside the share; may be empty.
        """
        starts, ends = zip(*(self._images(start, change(start)) for start in self.starts), strict=True)
        share = self.risk.share(starts, ends)
        images, disturbed = (torch.lerp(start, end, share) for start, end in zip(starts, ends, strict=True))
        part = f"subspace and {100 * share:.0f} % of what {network} changes" if share else _UNUSED
        return Reconstruction(
            images,
            {"shares": (share,)},
            comment="; ".join(filter(None, [part, told])),
            made_by="" if share else "subspace",
            expected=self.risk.of(images, disturbed),
        )

    def _images(self, start: Start, change: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(frame, y, x) before and after."""
        return self.scan.images_of(start.components), self.scan.images_of(start.components + change)
