"""What the header says of a scan."""

from __future__ import annotations

import numpy as np
import pytest

from gadgets.translate.scan_header import scan_from
from python_recon.errors import DataError
from tests.gadgets.acquisitions import encoding, header

_CONDITIONS = (
    "<experimentalConditions><H1resonanceFrequency_Hz>1</H1resonanceFrequency_Hz></experimentalConditions>"
)


def test_digits_that_a_server_drops_change_nothing():
    """A Gadgetron writes headers anew, with nine digits."""

    def scan(bandwidth):
        ratio = f"<relativeReceiverNoiseBandwidth>{bandwidth}</relativeReceiverNoiseBandwidth>"
        extra = f"<acquisitionSystemInformation>{ratio}</acquisitionSystemInformation>{_CONDITIONS}"
        return scan_from(header(encoding(), extra=extra))

    assert scan("0.793") == scan("0.792999983") != scan("0.794")


def test_scan():
    description = (
        "<trajectoryDescription><identifier>radial</identifier><userParameterLong><name>spokes</name>"
        "<value>13</value></userParameterLong><userParameterDouble><name>angle_increment</name>"
        "<value>111.246</value></userParameterDouble></trajectoryDescription>"
    )
    extra = (
        "<measurementInformation><measurementID>17_4</measurementID><patientPosition>HFS</patientPosition>"
        "<protocolName>heart</protocolName></measurementInformation><acquisitionSystemInformation>"
        "<relativeReceiverNoiseBandwidth>0.79</relativeReceiverNoiseBandwidth><receiverChannels>34"
        "</receiverChannels></acquisitionSystemInformation><experimentalConditions>"
        "<H1resonanceFrequency_Hz>1</H1resonanceFrequency_Hz></experimentalConditions>"
    )
    parameters = (
        "<userParameters><userParameterLong><name>a</name><value>2</value></userParameterLong>"
        "<userParameterString><name>b</name><value>c</value></userParameterString></userParameters>"
    )
    scan = scan_from(header(encoding(description=description), parameters, extra=extra))
    assert scan.matrix == (96, 128)
    assert scan.encoded_matrix == (96, 256)
    assert scan.field_of_view_mm == (300, 200, 7)
    assert scan.encoded_field_of_view_mm == (600, 200, 7)
    assert scan.trajectory_kind == "goldenangle"
    assert scan.trajectory_parameters == {"spokes": 13, "angle_increment": 111.246}
    assert scan.limits == {"kspace_encode_step_1": 311, "slice": 2}
    assert (scan.n_coils, scan.noise_bandwidth_ratio) == (34, np.float32(0.79))
    assert (scan.measurement_id, scan.protocol) == ("17_4", "heart")
    assert scan.user_parameters == {"a": 2, "b": "c"}


def test_a_bare_header_is_enough():
    scan = scan_from(header())
    assert (scan.n_coils, scan.noise_bandwidth_ratio, scan.measurement_id) == (None, 1.0, "")


@pytest.mark.parametrize(
    ("encodings", "match"),
    [
        ((""), "describes 0 encoding spaces"),
        ((encoding(x=1)), "matrix of 1 x 96"),
        ((encoding(fov_x=0)), "field of view of 0"),
    ],
)
def test_headers_without_what_an_image_needs(encodings, match):
    with pytest.raises(DataError, match=match):
        scan_from(header(encodings))
