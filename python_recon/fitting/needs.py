"""What fits of neural fields take of memory, by their size.

Bytes of float32, counted from the layers and compared with peaks measured on a CPU. Half precision and graphs
on a GPU take less; a batch that is too large there for what is free is made smaller (see
:mod:`~python_recon.fitting.shrinking`).
"""

from __future__ import annotations

from python_recon.fields.building import FieldOptions
from python_recon.fields.image_field import ImageFieldOptions, SpaceTimeOptions

LOOKED_AT = 16_384
"""Points of held-out spokes that are evaluated together."""
_COMPONENTS = 6
"""Of a temporal basis that is learned from the scan."""
_COPIES = 6
"""Of a parameter: itself, its gradient, up to three moments of Adam and the best so far."""
_PER_CORNER = 3
"""Values that are kept for each feature and corner of a cell of a hash grid."""


def with_graph(n_points: float, n_coils: int, options: FieldOptions) -> float:
    """Of a field of k-space at so many points, with what its gradient needs: every layer and its sine."""
    kept = 2 * options.n_features + (2 * options.layers + 2) * options.width + 3 * _outputs(n_coils, options)
    return 4.0 * _rows(n_points, n_coils, options) * kept


def without_graph(n_points: float, n_coils: int, options: FieldOptions) -> float:
    """Of a field of k-space at so many points, where only its values are wanted: one layer and the next."""
    held = options.n_features + 2 * options.width + _outputs(n_coils, options)
    return 8.0 * _rows(n_points, n_coils, options) * held


def parameters(n_coils: int, options: FieldOptions) -> float:
    """Of the weights of a field of k-space, while they are fitted."""
    inner = options.n_features + (options.layers - 1) * options.width + _outputs(n_coils, options)
    return 4.0 * _COPIES * options.width * inner


def image_field(
    n_points: float, n_dims: int, n_cells: float, options: ImageFieldOptions | SpaceTimeOptions
) -> float:
    """Of a field of images at so many points, with what its gradient needs, and of its weights.

    ``n_cells`` are those of its finest level.
    """
    n_features = options.levels * options.features
    kept = _PER_CORNER * 2**n_dims * n_features + (2 * options.layers + 2) * options.width
    return 4.0 * (n_points * kept + _COPIES * n_features * min(n_cells, 2.0**options.log2_table_size))


def _rows(n_points: float, n_coils: int, options: FieldOptions) -> float:
    """Evaluations of the network: a field that has the coil as an input takes one for each."""
    return n_points * n_coils if options.field == "coilwise" else n_points


def _outputs(n_coils: int, options: FieldOptions) -> int:
    if options.field == "coilwise":
        return 2
    n_functions = (2 * options.harmonics + 1 if options.harmonics else _COMPONENTS) * 2 * n_coils
    return n_functions if options.field == "separable" else 2 * n_coils
