"""The ISMRMRD header, read leniently.

Headers in the field lack elements that the schema demands and hold elements that it does not know. Both
are mended here, with a warning, so that every version of ismrmrd accepts them.
"""

from __future__ import annotations

import copy
import dataclasses
import logging
import re
import sys
import typing
import warnings
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, ParseError, tostring

import ismrmrd
from ismrmrd.xsd import CreateFromDocument, ismrmrdHeader
from xsdata.formats.dataclass.context import XmlContext
from xsdata.formats.dataclass.serializers import XmlSerializer
from xsdata.formats.dataclass.serializers.config import SerializerConfig

from python_recon.errors import ProtocolError

NAMESPACE = "http://www.ismrm.org/ISMRMRD"

_DECLARATION = re.compile(r"^\s*<\?xml[^>]{0,200}\?>")
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_REFERENCE = re.compile(r"&#(?:x([0-9a-fA-F]{1,8})|([0-9]{1,8}));")

_log = logging.getLogger(__name__)


def parse_header(xml: bytes) -> ismrmrdHeader:
    """The header that ``xml`` describes, mended where the schema is violated.

    Raises
    ------
    ProtocolError
        Where ``xml`` is no XML, is not an ISMRMRD header, or violates the schema beyond mending.
    """
    root = _parse(xml.rstrip(b"\0 \r\n\t"))
    _supply_required(root)
    _conform(root, ismrmrdHeader)
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        try:
            header = CreateFromDocument(tostring(root, encoding="utf-8"))
        except Exception as error:  # the parser raises whatever its data classes raise
            raise ProtocolError(f"the header violates the ISMRMRD schema: {error}") from error
    for complaint in complaints:
        _log.warning("header: %s", complaint.message)
    return header


def header_text(header: ismrmrdHeader) -> str:
    """The header as XML. ``ToXML`` of ismrmrd 1.14 does not work with current versions of xsdata."""
    serializer = XmlSerializer(context=XmlContext(), config=SerializerConfig())
    return serializer.render(header, ns_map={"": NAMESPACE})


def _parse(xml: bytes) -> Element:
    try:
        root = _root(xml)
    except (ParseError, ValueError, LookupError) as error:
        try:
            root = _root(_mended(xml))
        except (ParseError, ValueError, LookupError):
            raise ProtocolError(
                f"the header is not valid XML: {error!r}; it starts with {xml[:60]!r}"
            ) from error
        _log.warning("header: it is not valid XML (%s); its text is mended as far as that goes", error)
    for element in root.iter():
        element.tag = f"{{{NAMESPACE}}}{_name(element)}"
    if _name(root) != "ismrmrdHeader":
        raise ProtocolError(f"the header is a <{_name(root)}>, expected an <ismrmrdHeader>")
    return root


def _root(xml: bytes) -> Element:
    from defusedxml.ElementTree import fromstring

    root: Element = fromstring(xml)
    return root


def _mended(xml: bytes) -> bytes:
    """The text in UTF-8, without what XML forbids and without what follows the root."""
    try:
        text = xml.decode("utf-8")
    except UnicodeDecodeError:
        text = xml.decode("latin-1")
    text = _REFERENCE.sub(_allowed, _FORBIDDEN.sub("", _DECLARATION.sub("", text)))
    end = text.rfind("ismrmrdHeader>")
    return text[: end + len("ismrmrdHeader>")].encode() if end > 0 else text.encode()


def _allowed(reference: re.Match[str]) -> str:
    """A reference to a character, where XML knows the character."""
    hexadecimal, decimal = reference.groups()
    number = int(hexadecimal, 16) if hexadecimal else int(decimal)
    is_known = number <= sys.maxunicode and not _FORBIDDEN.match(chr(number))
    return reference.group() if is_known else ""


def _supply_required(root: Element) -> None:
    _supply(root, "experimentalConditions", _leaf("H1resonanceFrequency_Hz", "0"))
    for information in _children(root, "measurementInformation"):
        _supply(information, "patientPosition", text="HFS")
    for encoding in _children(root, "encoding"):
        for space in _children(encoding, "encodedSpace"):
            _supply(encoding, "reconSpace", *copy.deepcopy(list(space)))
        _supply(encoding, "encodingLimits")
        _supply(encoding, "trajectory", text="other")


def _supply(parent: Element, name: str, *children: Element, text: str | None = None) -> None:
    if next(_children(parent, name), None) is None:
        _log.warning("header: <%s> lacks <%s>, a neutral one is assumed", _name(parent), name)
        parent.append(_leaf(name, text, *children))


def _conform(element: Element, schema: type) -> None:
    """Drop the children that the schema's data class does not know, at every depth.

    Raises
    ------
    ProtocolError
        Where one is missing that it demands.
    """
    kinds = typing.get_type_hints(schema, vars(ismrmrd.xsd.ismrmrdschema.ismrmrd))
    for child in list(element):
        if _name(child) not in kinds:
            _log.warning(
                "header: <%s> in <%s> is not in the ISMRMRD schema, dropped", _name(child), _name(element)
            )
            element.remove(child)
        elif (inner := _data_class(kinds[_name(child)])) is not None:
            _conform(child, inner)
    if lacking := [name for name in _required(schema) if next(_children(element, name), None) is None]:
        raise ProtocolError(
            f"the header violates the ISMRMRD schema: <{_name(element)}> lacks <{'>, <'.join(lacking)}>"
        )


def _required(schema: Any) -> Iterator[str]:
    """Children that an element must have: without a default in ismrmrd 1.15, marked in 1.14."""
    for field in dataclasses.fields(schema):
        has_no_default = field.default is field.default_factory is dataclasses.MISSING
        is_marked = field.metadata.get("required") and field.default is None
        if field.metadata.get("type") == "Element" and (has_no_default or is_marked):
            yield field.metadata.get("name", field.name)


def _data_class(hint: Any) -> type | None:
    candidates = (hint, *typing.get_args(hint))
    return next((kind for kind in candidates if dataclasses.is_dataclass(kind)), None)


def _children(parent: Element, name: str) -> Iterator[Element]:
    return (child for child in parent if _name(child) == name)


def _leaf(name: str, text: str | None, *children: Element) -> Element:
    element = Element(f"{{{NAMESPACE}}}{name}")
    element.text = text
    element.extend(children)
    return element


def _name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]
