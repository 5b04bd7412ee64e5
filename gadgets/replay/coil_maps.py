"""Coil maps among the images: how they are asked for and told apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import ismrmrd

from gadgets.replay.client import Server
from gadgets.replay.config_xml import StreamConfig, override
from gadgets.replay.route import effective_settings
from gadgets.translate.images import COIL_MAP_ROLE
from gadgets.translate.series import series_of_channels
from python_recon.data import ImageSeries

_SETTING = "output.coil_maps"


class CoilMapSieve:
    """Takes the coil maps that only the report asked for out of the images that the user did.

    Parameters
    ----------
    target
        What runs, as the user chose it.
    is_report_wanted
        Whether our own gadgets are to send coil maps in any case.
    """

    def __init__(self, target: StreamConfig | Server, is_report_wanted: bool) -> None:
        self.target = target
        """What is to run instead."""
        self._are_images = True
        self._maps: dict[tuple[int, ...], ismrmrd.Image] = {}
        if is_report_wanted and isinstance(target, StreamConfig):
            self._are_images = any(_asks(effective_settings(node)) for node in target.nodes)
            self.target = replace(
                target,
                nodes=tuple(
                    override(node, {_SETTING: "true"}) if "output" in effective_settings(node) else node
                    for node in target.nodes
                ),
            )

    def passes(self, image: ismrmrd.Image) -> bool:
        """Whether the user wants this image; coil maps are remembered."""
        if image.meta.get("DataRole") != COIL_MAP_ROLE:
            return True
        self._maps[image.image_series_index, image.contrast, image.set, image.slice] = image
        return self._are_images

    @property
    def series(self) -> list[ImageSeries]:
        """The coil maps that came, a series a slice; its frames are the coils."""
        return [series_of_channels(self._maps[key]) for key in sorted(self._maps)]


def _asks(settings: Mapping[str, object]) -> bool:
    output = settings.get("output")
    return isinstance(output, Mapping) and bool(output.get("coil_maps"))
