"""Prints the caller's settings of pip about package indexes as `export` lines, for `make setup`.

Run by an interpreter that has pip. The lines are for pip, which then reads no settings file
(`user = true` in one would install outside of the environment), and for uv, which does not read
pip's files. https://pip.pypa.io/en/stable/topics/configuration/
"""

import ast
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

# pip's name of each setting, and uv's variable. https://docs.astral.sh/uv/reference/environment/
KEPT = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
    "timeout": "",
    "default-timeout": "",
    "retries": "",
    "keyring-provider": "",
}
# If uv has an index of its own, it does not get pip's.
UV_INDEX_VARIABLES = (
    "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_CONFIG_FILE",
)  # fmt: skip
SECTIONS = ("global", "install", ":env:")  # later ones win


def read(listed: str) -> dict[str, str]:
    """The kept settings from the output of `pip config list`."""
    found: dict[str, dict[str, str]] = {each: {} for each in SECTIONS}
    for line in listed.splitlines():
        place, _, value = line.partition("=")
        section, _, key = place.rpartition(".")
        if section in found and key in KEPT:
            found[section][key] = " ".join(str(ast.literal_eval(value)).split())
    return {**found["global"], **found["install"], **found[":env:"]}


def exports(settings: Mapping[str, str], given: Mapping[str, str], *, uv_has_a_file: bool) -> str:
    """The lines of shell that set them."""
    has_own = uv_has_a_file or any(given.get(each) for each in UV_INDEX_VARIABLES)
    lines = ["export PIP_CONFIG_FILE=/dev/null"]
    for key, value in settings.items():
        lines.append(f"export PIP_{key.upper().replace('-', '_')}={shlex.quote(value)}")
        of_uv = KEPT[key]
        if of_uv and not given.get(of_uv) and not (has_own and of_uv.startswith("UV_")):
            lines.append(f"export {of_uv}={shlex.quote(value)}")
    return "\n".join(lines)


if __name__ == "__main__":
    import os

    pip = [sys.executable, "-I", "-m", "pip", "config", "list"]
    asked = subprocess.run(pip, stdout=subprocess.PIPE, text=True, check=True)
    given = os.environ
    files = [Path(given.get("HOME") or "/", ".config/uv/uv.toml"), Path("/etc/uv/uv.toml")]
    has_a_file = any(map(Path.exists, files))
    sys.stdout.write(exports(read(asked.stdout), given, uv_has_a_file=has_a_file) + "\n")
