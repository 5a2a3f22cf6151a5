"""When the root certificates of Amazon RDS in the image expire."""

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

ROOTS = Path(__file__).parents[2] / "service" / "rds-ca.pem"


def read_roots(file: Path = ROOTS) -> Mapping[str, datetime] | None:
    """When each certificate expires, by its name; None where there is no such file."""
    if not file.exists():
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(file)
    return {
        _name(found["subject"]): datetime.fromtimestamp(
            ssl.cert_time_to_seconds(str(found["notAfter"])), UTC
        )
        for found in context.get_ca_certs()
    }


def _name(subject: object) -> str:
    parts = {key: value for ((key, value),) in subject}  # type: ignore[attr-defined]
    return str(parts.get("commonName", parts))
