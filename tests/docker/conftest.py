"""The files under ``docker``, read."""

from __future__ import annotations

import pytest

from tests.docker.dockerfile import Dockerfile
from tests.readme import ROOT


@pytest.fixture(params=["cpu", "cuda"])
def image(request) -> Dockerfile:
    """Each of the images that hold the program by itself."""
    return Dockerfile(ROOT / "docker" / request.param / "Dockerfile")


@pytest.fixture(params=["cpu", "cuda", "gadgetron"])
def any_image(request) -> Dockerfile:
    return Dockerfile(ROOT / "docker" / request.param / "Dockerfile")
