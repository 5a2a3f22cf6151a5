"""AWS's models of its APIs, as botocore has them, read once in this process.

Each session of boto3 and moto, which makes one for every service, would read them for itself.
"""

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

from botocore.loaders import JSONFileLoader, Loader


def read_once() -> None:
    """From now on. Before moto is imported, which reads the regions of all services."""
    Loader.FILE_LOADER_CLASS = Once


class Once(JSONFileLoader):
    """What it gives is shared, and nobody's to change."""

    def load_file(self, file_path: str) -> Any:
        """The content of the file without the ending .json; None where it is not there."""
        return _content(file_path)


@cache
def _content(path: str) -> Any:
    for ending, opened in ((".json", open), (".json.gz", gzip.open)):
        if Path(path + ending).is_file():
            with opened(path + ending, "rb") as file:
                return json.load(file)
    return None
