"""Reads a .env file."""

import io
import sys
from pathlib import Path

from scripts.errors import UsageError


def read_dotenv(file: Path) -> dict[str, str]:
    """The variables of the file, or of standard input for `-`; what has no value is left out.

    A `$` in a value stays as it is. Raises `UsageError` where it cannot be read.
    """
    from dotenv import dotenv_values

    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not UTF-8") from None
    found = dotenv_values(stream=io.StringIO(text), interpolate=False)
    return {name: value for name, value in found.items() if value}
