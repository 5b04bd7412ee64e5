from __future__ import annotations

import pytest

from python_recon.training.cache import Cache
from python_recon.training.examples import ExampleOptions
from tests.training.site import CONFIG, source


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def cached(cache_folder):
    """Examples of five scans, each sampled anew three times."""
    cache = Cache(cache_folder, CONFIG, ExampleOptions(pairs=2, views=3))
    return cache.examples([source(number) for number in range(5)])
