"""Unpacks an answer piece by piece, as servers pack it and not only as RFC 9110 (8.4.1) has it."""

import zlib

GZIP = b"\x1f\x8b"
AUTOMATIC, GZIP_ALONE, RAW = 47, 31, -15  # zlib's `wbits`; automatic: gzip or zlib by its header
ENCODINGS = {"gzip", "x-gzip", "deflate"}


class Unpacker:
    """Of a body in gzip, of one member or several, or in deflate, with zlib's header or without.

    `has_ended` is true after the last byte: what follows is no part of it. Raises `zlib.error`.
    """

    def __init__(self, encoding: str) -> None:
        self.has_ended = False
        self._encoding = encoding
        self._inflate: zlib._Decompress | None = None
        self._is_first = True
        self._rest = b""  # the beginning of a member, while it is too short to be known

    @property
    def is_whole(self) -> bool:
        """Whether it could end here: after a member, not within one."""
        return self.has_ended or (not self._is_first and self._inflate is None and not self._rest)

    def feed(self, piece: bytes, room: int) -> bytes:
        """What is in it, `room` bytes at most."""
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
        else:  # what some servers send behind it is not ours to read
            self.has_ended = True
        return not self.has_ended


def _has_header(data: bytes) -> bool:
    """RFC 1950, 2.2; browsers look for it too, as half of the servers leave it out."""
    return data.startswith(GZIP) or (data[0] & 15 == 8 and int.from_bytes(data[:2]) % 31 == 0)
