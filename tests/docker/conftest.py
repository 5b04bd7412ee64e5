"""The files under ``docker``, read."""

from __future__ import annotations

import pytest

from tests.docker.dockerfile import Dockerfile
from tests.readme import ROOT

IMAGES = {
    "cpu": Dockerfile(ROOT / "docker/Dockerfile", "cpu"),
    "cuda": Dockerfile(ROOT / "docker/Dockerfile", "cuda"),
    "gadgetron": Dockerfile(ROOT / "docker/gadgetron/Dockerfile"),
}


@pytest.fixture(params=["cpu", "cuda"])
def image(request) -> Dockerfile:
    """Each of the images that hold the program by itself."""
    return IMAGES[request.param]


@pytest.fixture(params=sorted(IMAGES))
def any_image(request) -> Dockerfile:
    return IMAGES[request.param]
