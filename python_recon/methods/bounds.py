"""Numbers that options of methods share: what each means, and within which bounds."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

Seed: TypeAlias = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""Of all that is drawn by chance."""
FitSteps: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000)]
"""Of an optimiser."""
Iterations: TypeAlias = Annotated[int, Field(ge=1, le=100_000)]
"""Of a solver."""
GradientSteps: TypeAlias = Annotated[int, Field(ge=1, le=1000)]
"""Towards the data, in a temporal subspace."""
