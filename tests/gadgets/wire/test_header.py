"""Headers as they come in the field."""

from __future__ import annotations

import logging

import pytest

from gadgets.wire.header import parse_header
from python_recon.errors import ProtocolError

SPACE = """<matrixSize><x>128</x><y>96</y><z>1</z></matrixSize>
<fieldOfView_mm><x>300</x><y>225</y><z>8</z></fieldOfView_mm>"""


def document(body, namespace=' xmlns="http://www.ismrm.org/ISMRMRD"'):
    return f'<?xml version="1.0"?><ismrmrdHeader{namespace}>{body}</ismrmrdHeader>'.encode()


def encoding(body):
    return f"<encoding><encodedSpace>{SPACE}</encodedSpace>{body}</encoding>"


def test_what_the_schema_demands_is_supplied(caplog):
    body = "<measurementInformation><measurementID>42</measurementID></measurementInformation>" + encoding("")
    with caplog.at_level(logging.WARNING):
        header = parse_header(document(body))
    (only,) = header.encoding
    assert only.reconSpace.matrixSize.x == 128
    assert only.reconSpace.fieldOfView_mm.y == 225
    assert only.trajectory.value == "other"
    assert header.measurementInformation.measurementID == "42"
    assert header.measurementInformation.patientPosition.value == "HFS"
    for name in ("patientPosition", "experimentalConditions", "trajectory", "encodingLimits", "reconSpace"):
        assert f"<{name}>" in caplog.text


def test_what_the_schema_does_not_know_is_dropped(caplog):
    body = encoding(f"<reconSpace>{SPACE}<tilt>3</tilt></reconSpace>") + "<vendor><x/></vendor>"
    with caplog.at_level(logging.WARNING):
        header = parse_header(document(body))
    assert header.encoding[0].reconSpace.matrixSize.y == 96
    assert "<tilt> in <reconSpace>" in caplog.text
    assert "<vendor> in <ismrmrdHeader>" in caplog.text


def test_a_whole_header_is_left_alone(caplog):
    body = (
        "<experimentalConditions><H1resonanceFrequency_Hz>123</H1resonanceFrequency_Hz></experimentalConditions>"
        + encoding(
            f"<reconSpace>{SPACE}</reconSpace><encodingLimits><slice><minimum>0</minimum><maximum>2</maximum>"
            "<center>1</center></slice></encodingLimits><trajectory>goldenangle</trajectory>"
        )
    )
    header = parse_header(document(body))
    assert caplog.text == ""
    assert header.encoding[0].trajectory.value == "goldenangle"
    assert header.encoding[0].encodingLimits.slice.maximum == 2


@pytest.mark.parametrize("end", [b"\0", b"\n\0\0"])
def test_terminators_are_taken_off(end):
    assert parse_header(document("") + end).encoding == []


@pytest.mark.parametrize(
    ("body", "lacking"),
    [
        (f"<encoding><reconSpace>{SPACE}</reconSpace></encoding>", "<encoding> lacks <encodedSpace>"),
        (encoding("").replace("<z>8</z>", ""), "<fieldOfView_mm> lacks <z>"),
    ],
)
def test_what_nothing_can_stand_in_for_is_named(body, lacking):
    with pytest.raises(ProtocolError, match=f"violates the ISMRMRD schema: {lacking}"):
        parse_header(document(body))


def test_what_has_a_default_may_be_missing():
    header = parse_header(document(encoding("<encodingLimits><slice/></encodingLimits>")))
    assert header.encoding[0].encodingLimits.slice.maximum == 0


def test_a_header_without_namespace():
    assert parse_header(document(encoding(""), namespace="")).encoding[0].encodedSpace.matrixSize.x == 128


def test_a_value_that_does_not_parse_is_told(caplog):
    with caplog.at_level(logging.WARNING):
        parse_header(document(encoding("<trajectory>rosette</trajectory>")))
    assert "rosette" in caplog.text


@pytest.mark.parametrize("declaration", [b'<?xml version="1.0" encoding="UTF-8"?>', b""])
@pytest.mark.parametrize(
    ("name", "end", "found"),
    [
        ("Größe".encode("latin-1"), b"", "Größe"),
        (b"a\x02b&#2;&#x1f;&#65;", b"", "abA"),
        (b"a", b"\n junk <b>", "a"),
    ],
)
def test_text_that_is_no_xml_is_mended(declaration, name, end, found, caplog):
    body = b"<measurementInformation><protocolName>%b</protocolName></measurementInformation>" % name
    body += encoding("<trajectory>radial</trajectory>").encode()
    header = parse_header(declaration + b"<ismrmrdHeader>" + body + b"</ismrmrdHeader>" + end)
    assert header.measurementInformation.protocolName == found
    assert "mended" in caplog.text


@pytest.mark.parametrize(
    ("xml", "match"),
    [
        (b"", "not valid XML"),
        (b"<ismrmrdHeader>", "not valid XML"),
        (b"\xff\xfe\x00 nonsense", "not valid XML"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><ismrmrdHeader>&b;</ismrmrdHeader>', "not valid XML"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><ismrmrdHeader>&b;</ismrmrdHeader> junk', "not valid XML"),
        (b"<html/>", "<html>"),
    ],
)
def test_hopeless_documents(xml, match):
    with pytest.raises(ProtocolError, match=match):
        parse_header(xml)
