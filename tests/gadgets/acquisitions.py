"""Headers of scans, and acquisitions with anything set."""

from __future__ import annotations

import ismrmrd
import numpy as np

from gadgets.wire.header import parse_header


def header_xml(encodings, extra=""):
    return f'<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">{extra}{"".join(encodings)}</ismrmrdHeader>'


def space(name, x, y, fov_x=300, fov_y=200):
    return (
        f"<{name}><matrixSize><x>{x}</x><y>{y}</y><z>1</z></matrixSize><fieldOfView_mm><x>{fov_x}</x>"
        f"<y>{fov_y}</y><z>7</z></fieldOfView_mm></{name}>"
    )


def encoding(kind="goldenangle", description="", **recon):
    return (
        f"<encoding>{space('encodedSpace', 256, 96, 600)}"
        f"{space('reconSpace', **{'x': 128, 'y': 96, **recon})}"
        "<encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>311</maximum><center>0</center>"
        "</kspace_encoding_step_1><slice><minimum>0</minimum><maximum>2</maximum><center>0</center></slice>"
        f"</encodingLimits><trajectory>{kind}</trajectory>{description}</encoding>"
    )


def header(*encodings, extra=""):
    return parse_header(header_xml(encodings or [encoding()], extra).encode())


def acquisition(samples=8, coils=2, flags=(), trajectory=None, seed=0, **fields):
    rng = np.random.default_rng(seed)
    data = rng.standard_normal((coils, samples)) + 1j * rng.standard_normal((coils, samples))
    acquired = ismrmrd.Acquisition.from_array(data.astype(np.complex64), trajectory)
    for flag in flags:
        acquired.set_flag(flag) if hasattr(acquired, "set_flag") else acquired.setFlag(flag)
    for name, value in fields.items():
        setattr(acquired.idx if hasattr(acquired.idx, name) else acquired, name, value)
    return acquired
