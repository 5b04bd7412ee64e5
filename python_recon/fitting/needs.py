"""What fits of neural fields take of memory, by their size.

Bytes of float32, counted from the layers and compared with peaks measured on a CPU. Half precision and graphs
on a GPU take less; a batch that is too large there for what is free is made smaller (see
:mod:`~python_recon.fitting.shrinking`).
"""

from __future__ import annotations

from dataclasses import dataclass

from python_recon.fields.building import FieldOptions
from python_recon.fields.image_field import ImageFieldOptions, SpaceTimeOptions

LOOKED_AT = 16_384
"""Points of held-out spokes that are evaluated together."""
_COPIES = 6
"""Of a parameter: itself, its gradient, up to three moments of Adam and the best so far."""
_PER_CORNER = 3
"""Values that are kept for each feature and corner of a cell of a hash grid."""


@dataclass(frozen=True)
class FieldNeed:
    """Bytes of a field of k-space."""

    options: FieldOptions
    n_coils: int
    n_components: int
    """Of a temporal basis that is learned from the scan."""

    def with_graph(self, n_points: float) -> float:
        """At so many points, with what its gradient needs: every layer and its sine."""
        options = self.options
        kept = 2 * options.n_features + (2 * options.layers + 2) * options.width + 3 * self._n_outputs
        return 4.0 * self._rows(n_points) * kept

    def without_graph(self, n_points: float) -> float:
        """At so many points, where only its values are wanted: one layer and the next."""
        held = self.options.n_features + 2 * self.options.width + self._n_outputs
        return 8.0 * self._rows(n_points) * held

    @property
    def parameters(self) -> float:
        """Of its weights, while they are fitted."""
        options = self.options
        inner = options.n_features + (options.layers - 1) * options.width + self._n_outputs
        return 4.0 * _COPIES * options.width * inner

    def _rows(self, n_points: float) -> float:
        """Evaluations of the network: a field that has the coil as an input takes one for each."""
        return n_points * self.n_coils if self.options.field == "coilwise" else n_points

    @property
    def _n_outputs(self) -> int:
        options = self.options
        if options.field == "coilwise":
            return 2
        n_functions = 2 * options.harmonics + 1 if options.harmonics else self.n_components
        return 2 * self.n_coils * (n_functions if options.field == "separable" else 1)


def image_field(
    n_points: float, n_dims: int, n_cells: float, options: ImageFieldOptions | SpaceTimeOptions
) -> float:
    """Of a field of images at so many points, with what its gradient needs, and of its weights.

    ``n_cells`` are those of its finest level.
    """
    n_features = options.levels * options.features
    kept = _PER_CORNER * 2**n_dims * n_features + (2 * options.layers + 2) * options.width
    return 4.0 * (n_points * kept + _COPIES * n_features * min(n_cells, 2.0**options.log2_table_size))
