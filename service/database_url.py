"""Reads DATABASE_URL as people and providers write it, and makes it fit for asyncpg.

https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
"""

import re
import ssl
from urllib.parse import parse_qsl, quote, unquote_to_bytes

SCHEMES = ("postgresql://", "postgres://")
PARTS = re.compile(
    r"(?P<scheme>postgres(?:ql)?)://(?:(?P<login>[^@/?#]*)@)?(?P<hosts>[^@/?#]*)"
    r"(?:/(?P<name>[^@/?#]*))?(?:\?(?P<query>[^#]*))?"
)
HOST = re.compile(r"(?P<host>[^:\[\]]*|\[[0-9A-Fa-f:.%a-z]+\])(?::(?P<port>[^:\[\]]*))?")
ENCODE = (
    "is no address: percent-encode what is special in the user or password "
    "(# as %23, / as %2F, ? as %3F, @ as %40, [ as %5B, ] as %5D, % as %25)"
)

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
# The options that asyncpg reads, each with its allowed values (None: any).
KEPT: dict[str, tuple[str, ...] | None] = {
    **dict.fromkeys(("host", "port", "dbname", "database", "user", "password", "passfile")),
    **dict.fromkeys(("sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword")),
    **dict.fromkeys(("ssl_min_protocol_version", "ssl_max_protocol_version")),
    **dict.fromkeys(("krbsrvname", "gsslib", "service")),
    "sslmode": SSL_MODES,
    "sslnegotiation": ("postgres", "direct"),
    "target_session_attrs": ("any", "primary", "read-write"),  # we write jobs
    # settings of the session, which asyncpg sends to the server
    **dict.fromkeys(("options", "search_path", "timezone", "role", "work_mem", "jit")),
}
# Options of other clients that are left out, because we set our own timeouts, pools and names; with
# these values only, where some are given. asyncpg has no `channel_binding`: the certificate proves
# the server (sslmode=verify-full).
DROPPED: dict[str, tuple[str, ...] | None] = {
    **dict.fromkeys(("application_name", "fallback_application_name", "channel_binding")),
    **dict.fromkeys(("connect_timeout", "tcp_user_timeout", "socket_timeout", "pool_timeout")),
    **dict.fromkeys(("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count")),
    **dict.fromkeys(("connection_limit", "pool_size", "max_connections", "sslsni")),
    **dict.fromkeys(("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")),
    **dict.fromkeys(("load_balance_hosts", "sslcompression", "sslcertmode")),
    **dict.fromkeys(("statement_cache_size", "prepared_statement_cache_size")),
    "gssencmode": ("disable", "prefer"),
    "sslaccept": ("accept_invalid_certs",),
    "client_encoding": ("utf8", "utf-8", "auto", "unicode"),
    "pgbouncer": ("false",),
    "uselibpqcompat": ("true", "false"),
}
POOLED = (
    "option pgbouncer says that a pooler stands in front, and sessions are needed here; "
    "give the database's own address (a direct or session connection)"
)


def read_database_url(given: str) -> str:
    """The address for asyncpg; `given` itself where nothing has to be left out.

    Raises `ValueError`, which says what is wrong and what is allowed, without any of a password.
    """
    text = given.strip()
    if not text.startswith(SCHEMES):
        raise ValueError("must start with postgresql://, without quotes around it")
    if re.search(r"[\s\x00-\x1f\x7f]", text):
        raise ValueError("holds a blank or a control character; percent-encode it")
    found = PARTS.fullmatch(text)
    if found is None or re.search(r"[\[\]]", found["login"] or ""):
        raise ValueError(ENCODE)
    for part in ("login", "hosts", "name"):
        _check_encoding(found[part] or "")
    _check_hosts(found["hosts"])
    query = found["query"]
    if query is None:
        return text
    if "@" in query and found["login"] is None:  # the rest of a password with a ? in it
        raise ValueError(ENCODE)
    options = _read_options(query)
    kept = [(name, value) for name, value in map(_translate, options) if name not in DROPPED]
    _check_ports(dict(kept).get("port", ""))
    if kept == options:
        return text
    ends = "&".join(f"{name}={quote(value, safe='/,:')}" for name, value in kept)
    return text.partition("?")[0] + (f"?{ends}" if ends else "")


def unreadable_file(url: str) -> str | None:
    """What is wrong with an option of a checked address that names an unreadable file, or None."""
    for name, value in parse_qsl(url.partition("?")[2]):
        if name in ("sslrootcert", "sslcert", "sslkey", "sslcrl"):
            try:
                with open(value, "rb"):
                    pass
            except OSError as error:
                return f"option {name}: {value} cannot be read: {error.strerror}"
    return None


def _read_options(query: str) -> list[tuple[str, str]]:
    if not query:
        return []
    _check_encoding(query)
    try:
        return parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        raise ValueError("an option is not NAME=VALUE") from None


def _translate(option: tuple[str, str]) -> tuple[str, str]:
    """The option under libpq's name. Raises `ValueError` for one we can neither keep nor drop."""
    name, value = option
    if name == "pgbouncer" and value.lower() == "true":
        raise ValueError(POOLED)
    if name == "schema":  # Prisma's
        return "search_path", value
    if name == "ssl":  # of other languages' drivers
        name, value = (
            "sslmode",
            {"true": "require", "1": "require", "false": "disable"}.get(value.lower(), value),
        )
    if (name, value) == ("sslmode", "no-verify"):
        return name, "require"
    if (name, value) == ("sslrootcert", "system"):
        paths = ssl.get_default_verify_paths()
        if paths.cafile is None:
            raise ValueError("option sslrootcert: the system has no file of certificates; name one")
        return name, paths.cafile
    if name not in KEPT and name not in DROPPED:
        shown = name if re.fullmatch(r"[A-Za-z_.]{1,40}", name) else "that it ends with"
        raise ValueError(
            f"option {shown} is unknown; take it out, or give a setting of the server as "
            "options=-c%20NAME%3DVALUE"
        )
    allowed = KEPT[name] if name in KEPT else DROPPED[name]
    if allowed is None:
        return name, value
    if value.lower() not in allowed:
        raise ValueError(f"option {name} must be {' or '.join(allowed)}")
    return name, value.lower()


def _check_hosts(hosts: str) -> None:
    for each in hosts.split(","):
        found = HOST.fullmatch(each)
        if found is None:
            raise ValueError(f"{ENCODE}, and put an IPv6 address in brackets")
        _check_ports(found["port"] or "")


def _check_ports(ports: str) -> None:
    for port in filter(None, ports.split(",")):
        if not (re.fullmatch("[0-9]{1,5}", port) and 1 <= int(port) <= 65535):
            raise ValueError(
                "the port is not a number from 1 to 65535; if it is part of the password, "
                "percent-encode what is special there"
            )


def _check_encoding(text: str) -> None:
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise ValueError(ENCODE)
    try:
        plain = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 where it is percent-encoded") from None
    if "\0" in plain:
        raise ValueError("holds a zero byte, which Postgres takes nowhere")
