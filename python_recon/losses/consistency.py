"""How far sets of k-space are from sharing one linear relation between neighbours and target.

Patches P are (set, row, unknown), an unknown being a neighbour of one coil, targets T (set, row, coil),
kernels W (set, unknown, coil). Published norms: doi:10.1016/j.media.2025.103890 (residual, all pairs) and
arXiv:2404.08350 (distance). The relative ones are ours: they are 1 for noise and 0 for perfect data whatever
the number of coils, rows and sets and the scale of k-space, so that one weight of the loss fits many scans.
"""

from __future__ import annotations

import torch


def solve_kernels(patches: torch.Tensor, targets: torch.Tensor, alpha: float) -> torch.Tensor:
    """``W = (P^H P + r I)^-1 P^H T`` of every set, with ``r = alpha |P^H P|_F / unknowns``.

    In double precision: the systems are small and ill-conditioned, and single-precision products of a fit may
    well be rounded to TF32. Nothing is read back from the device. A set of zeros has the kernel 0.
    """
    adjoint, right = patches.to(torch.complex128).mH, targets.to(torch.complex128)
    gram = adjoint @ adjoint.mH
    norm = torch.linalg.matrix_norm(gram, keepdim=True)
    floor = 16 * torch.finfo(torch.float64).eps
    ridge = torch.where(norm > 0, norm * max(alpha / gram.shape[-1], floor), 1.0)
    identity = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    # Not linalg.cholesky, which asks the device whether it succeeded; the ridge sees to that.
    factor, _ = torch.linalg.cholesky_ex(gram + ridge * identity)
    return torch.cholesky_solve(adjoint @ right, factor).to(targets.dtype)


def residual(
    patches: torch.Tensor, targets: torch.Tensor, kernels: torch.Tensor, is_relative: bool
) -> torch.Tensor:
    """Error of each set's prediction by its own kernel.

    Published: ``mean_s |P_s W_s - T_s|_F``. Relative: the mean of ``|P_s W_s - T_s|_F^2 / sg |T_s|_F^2`` over
    the sets that hold a signal, per degree of freedom that the kernel leaves to the rows.
    """
    errors = patches @ kernels - targets
    if not is_relative:
        return torch.linalg.vector_norm(errors, dim=(-2, -1)).mean()
    n_rows, n_unknowns = patches.shape[-2:]
    return _relative(_energy(errors), _energy(targets)) * n_rows / (n_rows - n_unknowns)


def all_pairs(
    patches: torch.Tensor, targets: torch.Tensor, kernels: torch.Tensor, is_relative: bool
) -> torch.Tensor:
    """Error of each set's prediction by the kernels of all sets.

    Published: ``sum_ij |P_i W_j - T_i|_F``. Relative: the mean of ``|P_i W_j - T_i|_F^2 / sg |T_i|_F^2`` over
    the pairs of different sets that hold a signal, less the share that is due to kernels fitted to noise.
    """
    errors = torch.einsum("irn,jnc->ijrc", patches, kernels) - targets[:, None]
    if not is_relative:
        return torch.linalg.vector_norm(errors, dim=(-2, -1)).sum()
    n_rows, n_unknowns = patches.shape[-2:]
    signal = _energy(targets)
    foreign = signal[None] * (1 - torch.eye(len(signal), device=signal.device))
    pairs = torch.where(foreign > 0, signal[:, None], 0.0)
    return _relative(_energy(errors), pairs) * (n_rows - n_unknowns) / n_rows


def distance(
    _patches: torch.Tensor, _targets: torch.Tensor, kernels: torch.Tensor, is_relative: bool
) -> torch.Tensor:
    """Distance between the kernels of different sets.

    Published: mean over all pairs, a kernel with itself among them, of ``|W_i - W_j|_1 / (2 unknowns
    coils)``, of real and imaginary parts.
    Relative: over the kernels' own mean 1-norm instead, and sqrt(2), the value for unrelated kernels. That
    norm carries a gradient, or kernels would be drawn to zero.
    """
    parts = torch.view_as_real(kernels).flatten(1)
    apart = torch.pdist(parts, p=1).mean()
    if not is_relative:
        return apart * (len(parts) - 1) / len(parts) / parts.shape[1]
    norm = parts.abs().sum(1).mean()
    return apart / (2**0.5 * torch.where(norm > 0, norm, 1.0))


def _relative(errors: torch.Tensor, signal: torch.Tensor) -> torch.Tensor:
    """Mean of the ratios over all entries with a signal; 0 if there is none."""
    signal = signal.detach()
    has_signal = signal > 0
    ratios = torch.where(has_signal, errors / torch.where(has_signal, signal, 1.0), 0.0)
    return ratios.sum() / has_signal.sum().clamp_min(1)


def _energy(values: torch.Tensor) -> torch.Tensor:
    """Squared Frobenius norm of the last two axes."""
    return torch.view_as_real(values).square().sum((-3, -2, -1))
