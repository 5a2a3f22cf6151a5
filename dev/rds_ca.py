"""`make rds-ca`: downloads the root certificates of Amazon RDS into the image's sources.

No operating system trusts them by default. They are kept here, and not downloaded by each build:
AWS adds to its file when a region opens, so a build that checks the file's hash would fail then.
"""

import hashlib
import os
import re
import ssl
import sys
import time
from pathlib import Path
from typing import cast
from urllib.error import URLError
from urllib.request import urlopen

from scripts.errors import OperatorError
from scripts.terminal.render import Screen

SOURCE = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
SERVICE = Path(__file__).parents[1] / "service"
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
# AWS's file also has the roots of trial regions ("Beta", "Preview").
NAME = re.compile(r"Amazon RDS ([a-z]+(-[a-z]+)+-\d) Root CA [A-Z0-9]+ G\d")
SUM = re.compile(r"(?<=^ARG RDS_CA_SHA256=)\w+$", re.MULTILINE)


def roots(bundle: str) -> dict[str, str]:
    """The regions' root certificates that are still valid, by name."""
    found = {}
    for certificate in PEM.findall(bundle):
        store = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        store.load_verify_locations(cadata=certificate)
        for root in store.get_ca_certs():  # empty if it is not a CA certificate
            parts = cast("tuple[tuple[tuple[str, str], ...], ...]", root["subject"])
            name = dict(pair for pairs in parts for pair in pairs).get("commonName", "")
            ends_at = ssl.cert_time_to_seconds(str(root["notAfter"]))
            if NAME.fullmatch(name) and ends_at > time.time():
                found[name] = certificate
    return found


def write(bundle: str, service: Path) -> tuple[list[str], list[str]]:
    """Replace the file and its hash in the Dockerfile; returns the new and the removed names."""
    file, dockerfile = service / "rds-ca.pem", service / "Dockerfile"
    old, new = roots(file.read_text()) if file.exists() else {}, roots(bundle)
    if not new:
        raise OperatorError("it has no root certificate of an RDS region")
    text = "".join(f"# {name}\n{certificate}\n" for name, certificate in sorted(new.items()))
    file.write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    dockerfile.write_text(SUM.sub(digest, dockerfile.read_text()))
    return sorted(new.keys() - old.keys()), sorted(old.keys() - new.keys())


def main(arguments: list[str]) -> int:
    """Read AWS's file, or the one at the given URL; returns the exit status."""
    screen = Screen(os.environ)
    source = arguments[0] if arguments else SOURCE
    try:
        with urlopen(source, timeout=30) as answer:  # noqa: S310 - the operator's own address
            added, removed = write(answer.read().decode(), SERVICE)
    except (OperatorError, URLError) as error:
        screen.fail(OperatorError(f"{source}: {error}", "service/rds-ca.pem is unchanged."))
        return 1
    for mark, names in (("+", added), ("-", removed)):
        for name in names:
            screen.say(f"{mark} {name}")
    screen.say(
        f"service/rds-ca.pem: {len(added)} new, {len(removed)} removed. See `git diff`, commit."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
