"""Sizes that options of fields share: what each means, and within which bounds."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

Width: TypeAlias = Annotated[int, Field(ge=1, le=4096)]
"""Of the layers of a network."""
Layers: TypeAlias = Annotated[int, Field(ge=1, le=64)]
"""The linear output not counted."""
Features: TypeAlias = Annotated[int, Field(ge=1, le=32)]
"""Of a level of a hash grid."""
TableSize: TypeAlias = Annotated[int, Field(ge=4, le=24)]
"""Most entries of a level, as a power of two."""
Cells: TypeAlias = Annotated[int, Field(ge=1, le=1024)]
"""Of the coarsest level along an axis."""
