"""Parallel-imaging-inspired self-consistency (PISCO) of neural k-space.

The coils' k-space around a point predicts the point by a linear kernel that is the same everywhere. Kernels
are solved on sets of k-space; where they fit badly, or differ from set to set, k-space is inconsistent, and
the loss says so without any calibration data. Spieker et al., doi:10.1016/j.media.2025.103890 and
arXiv:2404.08350.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from python_recon.errors import ConfigError, DataError, ShapeError
from python_recon.losses.consistency import all_pairs, distance, residual, solve_kernels
from python_recon.losses.patches import PatchSampler
from python_recon.losses.tiles import draw


@dataclass(frozen=True)
class Variant:
    """One way to measure inconsistency, with the defaults under which it was published."""

    measure: Callable[[torch.Tensor, torch.Tensor, torch.Tensor, bool], torch.Tensor]
    gradient_through: str
    min_sets: int
    n_target_coils: int | None
    """Target coils drawn at random for each call; None: all."""
    settings: dict[str, Any]
    """Settings of :meth:`Pisco.published`."""


_SCATTERED = {"geometry": "alternating", "spacing": 2.0, "max_sets": 30}
_ON_SPOKES = {
    "geometry": "without_centre",
    "spacing": 1.0,
    "max_sets": 12,
    "oversampling": 1.1 * 3,  # of the three target coils
    "alpha": 1e-3,
}

VARIANTS = {
    "residual": Variant(residual, "targets", 1, None, _SCATTERED),
    "all_pairs": Variant(all_pairs, "targets", 2, None, _SCATTERED),
    "distance": Variant(distance, "patches", 2, 3, _ON_SPOKES),
}


class Pisco(nn.Module):
    """Self-consistency loss for anyone's training loop.

    ::

        pisco = Pisco(n_coils=8, matrix=(128, 128)).to(device)
        targets_k, patches_k = pisco.sample_patches(generator)
        loss, kernels = pisco(field(t, targets_k), field(t, patches_k), targets_k, patches_k)
        (data_loss + 0.1 * loss).backward()

    Parameters
    ----------
    n_coils
        At least 2.
    matrix
        (y, x) of the Cartesian grid from which targets are drawn; k from -1 to 1 along both axes.
    variant
        ``residual``: error of each set under its own kernel. ``all_pairs``: under the kernels of all other
        sets. ``distance``: between the kernels (PISCO-dist).
    geometry
        Name of the neighbourhood, a key of ``GEOMETRIES``.
    spacing
        Distance of neighbours in grid steps. The default, on the matrix of the image, is one cycle per field
        of view: so are the published two steps on the twofold oversampled grid of a readout.
    max_sets
        Sets to a call; fewer if there are not points enough for so many.
    oversampling
        Rows of a set for each of its ``neighbours * coils`` unknowns.
    alpha
        Ridge of the solution: its share of ``|P^H P|_F / unknowns``.
    normalisation
        ``relative``: 0 for perfect data and about 1 for noise, whatever the number of coils, rows and sets
        and the scale. ``published``: the norms of the papers.
    gradient_through
        ``targets``, ``patches`` or ``both``; by default as published: targets, for ``distance`` patches.
    n_target_coils
        Coils that are predicted, drawn at random for each call; by default as published: all, for
        ``distance`` 3.
    skip_inside
        Radius in grid steps around the centre where no point may lie.

    Raises
    ------
    ConfigError
        If a name is unknown or a number out of range.
    DataError
        If there is but one coil.
    """

    def __init__(
        self,
        n_coils: int,
        matrix: tuple[int, int],
        *,
        variant: str = "residual",
        geometry: str = "alternating",
        spacing: float = 1.0,
        max_sets: int = 20,
        oversampling: float = 3.0,
        alpha: float = 1e-4,
        normalisation: Literal["relative", "published"] = "relative",
        gradient_through: Literal["targets", "patches", "both"] | None = None,
        n_target_coils: int | None = None,
        skip_inside: float = 2.5,
    ) -> None:
        super().__init__()
        self.variant = VARIANTS[_known("variant", variant, VARIANTS)]
        self.gradient_through = _known(
            "gradient_through",
            gradient_through or self.variant.gradient_through,
            ("targets", "patches", "both"),
        )
        self.is_relative = _known("normalisation", normalisation, ("relative", "published")) == "relative"
        if n_coils < 2:
            raise DataError(
                f"found {n_coils} coil; PISCO needs at least 2, for it learns relations between coils: "
                "fit without it (nik)"
            )
        if oversampling <= 1:
            raise ConfigError(f"oversampling={oversampling} leaves nothing to test a kernel; expected over 1")
        self.n_coils = n_coils
        self.alpha = alpha
        self.n_target_coils = min(n_target_coils or self.variant.n_target_coils or n_coils, n_coils)
        set_limits = (self.variant.min_sets, max_sets)
        self.sampler = PatchSampler(n_coils, matrix, geometry, spacing, set_limits, oversampling, skip_inside)

    @classmethod
    def published(cls, n_coils: int, n_readout: int, variant: str = "residual", **changes: Any) -> Pisco:
        """The loss with the settings of the paper of its variant.

        Parameters
        ----------
        n_coils
            Coils.
        n_readout
            Samples of a spoke, with its oversampling: the side of the grid.
        variant
            As above.
        changes
            Other settings instead. The papers used 15 to 30 sets (residual), up to 12 (distance).
        """
        settings = {
            "oversampling": 1.1 * n_coils,
            "normalisation": "published",
            "skip_inside": 5.0,
            **VARIANTS[_known("variant", variant, VARIANTS)].settings,
            **changes,
        }
        return cls(n_coils, (n_readout, n_readout), variant=variant, **settings)

    def sample_patches(
        self, generator: torch.Generator | None = None, candidates: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw targets without replacement, cut them into sets and find their neighbours.

        Where the geometry has several kernels, each call takes the next one.

        Parameters
        ----------
        generator
            For repeatable draws.
        candidates
            (point, 2), from where to draw targets instead of the grid, such as the acquired samples
            (PISCO-dist). The loss leaves out those too near to the centre or the edge.

        Returns
        -------
            Coordinates of targets (set, row, 2) and of their neighbours (set, row, neighbour, 2).

        Raises
        ------
        ShapeError
            If there are too few candidates for the sets.
        """
        drawn: tuple[torch.Tensor, torch.Tensor] = self.sampler(generator, candidates)
        return drawn

    def forward(
        self,
        targets: torch.Tensor,
        patches: torch.Tensor,
        targets_k: torch.Tensor | None = None,
        patches_k: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
        target_coils: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss and kernels.

        Parameters
        ----------
        targets
            Complex (set, row, coil), or (row, coil) to be cut into sets here.
        patches
            Complex (set, row, neighbour, coil), or (row, neighbour, coil).
        targets_k, patches_k
            Their coordinates, (..., 2); flat rows need them. Rows with a point near the centre or beyond the
            edge count nothing. Sets that are well chosen, such as tiles, can do without.
        generator
            For the draw of target coils.
        target_coils
            Those of :meth:`draw_coils`, where they were drawn before.

        Returns
        -------
            Real scalar, and kernels (set, neighbour * coil, target coil) for :func:`predict`.

        Raises
        ------
        ShapeError
            If values or coordinates do not fit, or the rows are too few for the kernel.
        """
        self._check_values(targets, patches)
        if targets_k is not None and patches_k is not None:
            may_count = self.sampler.may_count(targets_k, patches_k)
            targets = torch.where(may_count[..., None], targets, 0)
            patches = torch.where(may_count[..., None, None], patches, 0)
            if targets.ndim == 2:
                targets, patches = self.sampler.cut(targets, patches, targets_k, may_count)
        if targets.ndim != 3:
            raise ShapeError(f"targets {tuple(targets.shape)} without sets need coordinates of all points")
        if self.n_target_coils < self.n_coils:
            targets = targets[..., self.draw_coils(generator) if target_coils is None else target_coils]
        return self._measure(targets, patches.flatten(2))

    def draw_coils(self, generator: torch.Generator | None = None) -> torch.Tensor:
        """Draw the coils that are predicted, without replacement; where these are all, in their order."""
        device = self.sampler.candidates.device
        if self.n_target_coils == self.n_coils:
            return torch.arange(self.n_coils, device=device)
        return draw(self.n_coils, self.n_target_coils, device, generator)

    def _measure(self, targets: torch.Tensor, patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        n_sets, n_rows, n_unknowns = patches.shape
        if n_sets < self.variant.min_sets or (self.is_relative and n_rows <= n_unknowns):
            raise ShapeError(
                f"found {n_sets} sets of {n_rows} rows; expected at least {self.variant.min_sets} "
                f"with more than {n_unknowns}: take more points, larger tiles or fewer coils"
            )
        if self.gradient_through == "targets":
            patches = patches.detach()
        elif self.gradient_through == "patches":
            targets = targets.detach()
        kernels = solve_kernels(patches, targets, self.alpha)
        return self.variant.measure(patches, targets, kernels, self.is_relative), kernels

    def _check_values(self, targets: torch.Tensor, patches: torch.Tensor) -> None:
        expected = (*targets.shape[:-1], self.n_coils)
        found = (*patches.shape[:-2], patches.shape[-1])
        if not (targets.shape == expected == found and targets.is_complex() and patches.is_complex()):
            raise ShapeError(
                f"targets {tuple(targets.shape)} {targets.dtype} and patches {tuple(patches.shape)} "
                f"{patches.dtype} do not fit; expected complex (set, row, {self.n_coils}) and "
                f"(set, row, neighbour, {self.n_coils})"
            )


def predict(patches: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """Targets (set, row, coil) from patches (set, row, neighbour, coil) by kernels of each set or of all."""
    return patches.flatten(-2) @ kernels


def _known(setting: str, value: str, names: Collection[str]) -> str:
    if value not in names:
        raise ConfigError(f"{setting} {value!r} is unknown; expected one of {', '.join(names)}")
    return value
