"""How far the k-space of a scan reaches, by its header."""

from __future__ import annotations

from python_recon.data import Scan


def spoke_extent(scan: Scan) -> tuple[float, float]:
    """Diameter (kx, ky) of k-space in cycles per field of view.

    This is the matrix along x, or less where the reconstructed matrix interpolates; along y the same
    spatial frequency is counted in the field of view of y.
    """
    extent = float(scan.matrix[1])
    fov_x, fov_y = scan.field_of_view_mm[:2]
    encoded_fov = scan.encoded_field_of_view_mm[0]
    if fov_x > 0 and encoded_fov > 0 and scan.encoded_matrix[1] > 0:
        extent = min(extent, scan.encoded_matrix[1] / encoded_fov * fov_x)
    shape = fov_y / fov_x if fov_x > 0 and fov_y > 0 else scan.matrix[0] / scan.matrix[1]
    return extent, extent * shape
