# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""When certificates end."""

from __future__ import annotations

import base64
import binascii
import calendar
import re
import time
from typing import List, Optional, Tuple

from ..host import Host, HostError
from ..looks import expand_all
from ..model import SERVICES, ParameterError, Params, Reading, absent, good, manual
from ..texts import listed

FILES_LIMIT = 200
_PEM = re.compile(rb"-----BEGIN (?:TRUSTED )?CERTIFICATE-----([A-Za-z0-9+/=\s]+?)-----END", re.S)
_SEQUENCE, _UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x30, 0x17, 0x18, 0xA0


def _element(data: bytes, at: int) -> Tuple[int, int, int]:
    """A DER element's tag, and where its content begins and ends (X.690 8.1). Raises ValueError."""
    if at + 2 > len(data):
        raise ValueError("cut off")
    tag, length, begin = data[at], data[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        if not 1 <= size <= 4 or begin + size > len(data):
            raise ValueError("no length")
        length = int.from_bytes(data[begin : begin + size], "big")
        begin += size
    if begin + length > len(data):
        raise ValueError("cut off")
    return tag, begin, begin + length


def not_after(data: bytes) -> float:
    """When a certificate in DER ends, in seconds since 1970 (RFC 5280 4.1). Raises ValueError."""
    tag, at, dummy = _element(data, 0)
    tag, at, dummy = _element(data, at)  # TBSCertificate
    if tag != _SEQUENCE:
        raise ValueError("no certificate")
    tag, dummy, end = _element(data, at)
    if tag == _VERSION:
        at = end
    for dummy in range(3):  # serial number, signature algorithm, issuer
        dummy, dummy, at = _element(data, at)
    tag, at, dummy = _element(data, at)
    if tag != _SEQUENCE:
        raise ValueError("no validity")
    dummy, dummy, at = _element(data, at)
    tag, begin, end = _element(data, at)
    text = data[begin:end].decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if int(text[:2]) >= 50 else "20") + text  # RFC 5280 4.1.2.5.1
    elif tag != _GENERALIZED_TIME:
        raise ValueError("no time")
    return float(calendar.timegm(time.strptime(text[:14], "%Y%m%d%H%M%S")))


class Certificate:
    """Audit alone: a certificate is renewed by whoever has issued it. The first of a file counts, which is the host's
    own; the others are those that vouch for it."""

    name = "certificate"
    stage = SERVICES

    def __init__(self, params: Params) -> None:
        self.paths = params.paths("paths")
        self.days = params.number("days", 30)
        params.done()
        if self.days < 0:
            raise ParameterError("days is not negative")
        self.wanted = f"valid for {self.days} more days"

    def current(self, host: Host) -> Reading:
        paths = expand_all(host, self.paths)
        if len(paths) > FILES_LIMIT:
            raise HostError(f"more than {FILES_LIMIT} certificates")
        ends = [(end, path) for path in paths if (end := _end(host, path)) is not None]
        if not ends:
            return absent("there is no certificate at these paths")
        soon = [(end, path) for end, path in sorted(ends) if (end - host.ctx.now) < self.days * 86400]
        return manual(listed(self._lines(soon)), "it has to be renewed") if soon else good(self._lines([min(ends)])[0])

    def apply(self, host: Host) -> None:
        """Nothing is ever mended."""

    @staticmethod
    def _lines(found: List[Tuple[float, str]]) -> List[str]:
        return [f"{path} until {time.strftime('%Y-%m-%d', time.gmtime(end))}" for end, path in found]


def _end(host: Host, path: str) -> Optional[float]:
    """When the first certificate of a file ends; None where there is none in it."""
    try:
        data = host.ctx.read_bytes(path)
    except OSError:
        return None
    match = _PEM.search(data)
    try:
        der = base64.b64decode(match.group(1)) if match else data
        return not_after(der)
    except (ValueError, binascii.Error, OverflowError):
        if match:
            raise HostError(f"{path} holds a certificate that can't be read") from None
        return None
