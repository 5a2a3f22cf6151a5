"""Unpacks an answer piece by piece, also where a server does not keep to RFC 9110 (8.4.1)."""

import zlib

GZIP = b"\x1f\x8b"
AUTOMATIC, GZIP_ALONE, RAW = 47, 31, -15  # zlib's `wbits`; automatic: gzip or zlib by its header
ENCODINGS = {"gzip", "x-gzip", "deflate"}


class Unpacker:
    """Unpacks a body in gzip, also of several members, or in deflate, also without zlib's header.

    `has_ended` is true after the last byte of the body; bytes after it are ignored. Raises
    `zlib.error`.
    """

    def __init__(self, encoding: str) -> None:
        self.has_ended = False
        self._encoding = encoding
        self._inflate: zlib._Decompress | None = None
        self._is_first = True
        self._rest = b""  # the first bytes of a member, too few to know its kind

    @property
    def is_whole(self) -> bool:
        """May the body end here, after a member and not within one?"""
        return self.has_ended or (not self._is_first and self._inflate is None and not self._rest)

    def feed(self, piece: bytes, room: int) -> bytes:
        """Unpack a piece. Returns at most `room` bytes."""
        found = bytearray()
        self._rest += piece
        while self._rest and not self.has_ended and len(found) < room:
            if self._inflate is None and not self._begin():
                break
            assert self._inflate is not None
            found += self._inflate.decompress(self._rest, room - len(found))
            self._rest = self._inflate.unused_data if self._inflate.eof else b""
            if self._inflate.eof:
                self._inflate = None
                self.has_ended = self._encoding == "deflate"
        return bytes(found)

    def _begin(self) -> bool:
        if len(self._rest) < len(GZIP):
            return False
        if self._is_first:
            self._is_first = False
            is_raw = self._encoding == "deflate" and not _has_header(self._rest)
            self._inflate = zlib.decompressobj(RAW if is_raw else AUTOMATIC)
        elif self._rest.startswith(GZIP):
            self._inflate = zlib.decompressobj(GZIP_ALONE)
        else:  # some servers send other bytes after the body
            self.has_ended = True
        return not self.has_ended


def _has_header(data: bytes) -> bool:
    """Does it start with zlib's header (RFC 1950, 2.2)? Many servers leave it out."""
    return data.startswith(GZIP) or (data[0] & 15 == 8 and int.from_bytes(data[:2]) % 31 == 0)
