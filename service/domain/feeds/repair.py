"""Repairs a feed's bytes where a wrong character would keep the parser from reading any entry."""

import codecs
import re

REFERENCE = re.compile(r"&((?:amp;)?)#(?:[xX]([0-9A-Fa-f]+)|([0-9]+));?")
PAIR = re.compile("([\ud800-\udbff])([\udc00-\udfff])")
REPLACEMENT = 0xFFFD  # for a reference that is no character
UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def repair(body: bytes) -> bytes:
    """The feed, with half surrogate pairs joined, and references to no character replaced.

    Programs that use UTF-16 write an emoji as `&#55357;&#56832;`, or as two halves in UTF-8. XML
    (2.2) allows neither.
    """
    encoding = UTF16.get(body[:2], "")
    if encoding:
        text = body.decode(encoding, "replace")
        return _repair_references(text).encode(encoding, "replace")
    body = _repair_utf8(body)
    if b"#" not in body:
        return body
    # Latin-1 keeps every byte, whatever the encoding, and a reference is ASCII in all of them.
    return _repair_references(body.decode("latin-1")).encode("latin-1")


def _repair_references(text: str) -> str:
    last: list[tuple[int, int]] = []  # a first half, and where its reference ends

    def whole(found: re.Match[str]) -> str:
        number = _number(found)
        is_second = 0xDC00 <= number <= 0xDFFF
        if is_second and last and last[0][1] == found.start():
            number = 0x10000 + ((last[0][0] - 0xD800) << 10) + number - 0xDC00
        elif 0xD800 <= number <= 0xDBFF:
            follows = REFERENCE.match(text, found.end())
            if follows and 0xDC00 <= _number(follows) <= 0xDFFF:
                last[:] = [(number, found.end())]
                return ""
        elif _is_character(number):
            return found[0]
        if not _is_character(number):
            number = REPLACEMENT
        return f"&{found[1]}#{number};"

    return REFERENCE.sub(whole, text)


def _number(found: re.Match[str]) -> int:
    digits, base = (found[2], 16) if found[2] else (found[3], 10)
    digits = digits.lstrip("0") or "0"
    return int(digits, base) if len(digits) <= 8 else 0


def _is_character(number: int) -> bool:
    """Is it a character of XML 1.0 (2.2)? The parser reads C1 controls as windows-1252."""
    return (
        number in (0x9, 0xA, 0xD)
        or 0x20 <= number <= 0xD7FF
        or 0xE000 <= number <= 0xFFFD
        or 0x10000 <= number <= 0x10FFFF
    )


def _repair_utf8(body: bytes) -> bytes:
    """The body with halves joined, and a few wrong bytes replaced.

    Because of a wrong byte the parser would guess another encoding for the whole feed.
    """
    if body.isascii():
        return body
    try:
        text = body.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        text = body.decode("utf-8", "replace")
        wrong = text.count("\ufffd")
        if sum(not each.isascii() for each in text) < 2 * wrong:  # another encoding
            return body
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode("utf-8")
