"""What all fits can keep: the field, to render it or to go on from it, and the figures of the fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field

from python_recon.config import Section

if TYPE_CHECKING:
    from typing_extensions import Self


TensorFile: TypeAlias = Annotated[str, Field(pattern=r"^$|\.safetensors$")]
"""A file of safetensors; empty: none."""


class KeepingOptions(Section):
    """Options that all fits share."""

    implementation: ClassVar[str] = ""
    """The registered method that has them."""
    checkpoint: TensorFile = ""
    """File (.safetensors) to save the field to; the numbers of slice, contrast and set, where they are not 0,
    are added to its name. Empty: none."""
    resume: TensorFile = ""
    """Checkpoint of the same scan to go on from, its name completed in the same way. Empty: none."""
    tensorboard: str = ""
    """Folder for the curves of the fit, for TensorBoard (gadgetron-pisco[tensorboard]). Empty: none."""
    compiled: Literal["auto", "off"] = "auto"
    """auto: on CUDA, steps run as captured graphs where they can; off: operation by operation."""

    def smaller(self) -> Self | None:
        """The options of a fit that takes less memory; None if there are none."""
        return None
