"""Makes text from outside safe to print on a terminal. Standard library only."""

import re

# Characters that move the cursor, change the terminal, turn the direction of text or are invisible:
# controls (C0, DEL, C1), format characters (bidi, zero width, tags), fillers that look like blanks,
# line and paragraph separators, and half surrogate pairs.
UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
NAMES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escape(text: str, *, keep: str = "") -> str:
    r"""`text` with unsafe characters, except those in `keep`, written as `\x1b`, `\u202e`, `\n`."""

    def name(found: re.Match[str]) -> str:
        character = found[0]
        if character in keep:
            return character
        code = ord(character)
        long = f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
        return NAMES.get(character) or (f"\\x{code:02x}" if code < 0x100 else long)

    return UNSAFE.sub(name, text)


def escape_json(text: str) -> str:
    """The same for JSON text, which keeps its value; a newline stays."""

    def name(found: re.Match[str]) -> str:
        units = found[0].encode("utf-16-be", "surrogatepass")
        pairs = (units[at : at + 2].hex() for at in range(0, len(units), 2))
        return found[0] if found[0] == "\n" else "".join(f"\\u{pair}" for pair in pairs)

    return UNSAFE.sub(name, text)
