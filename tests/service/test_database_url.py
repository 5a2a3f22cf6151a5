"""Addresses as people and providers write them: used, corrected or refused, and never shown."""

import ssl
from pathlib import Path

import pytest

from service.contract import ProcessName
from service.database_url import read_database_url
from service.settings import SettingsError, load_settings

SECRET = "s3cretS3cret"
HOST = "ep-1.eu.example.com"


@pytest.mark.parametrize(
    "special", ["#", "/", "?", "[", "]", "@", "%", "#/", "?a=b&", "/x?", "[::1]"]
)
@pytest.mark.parametrize("place", ["login", "user"])
def test_what_is_special_in_a_password_has_to_be_encoded(special: str, place: str) -> None:
    login = f"app:{SECRET}{special}{SECRET}" if place == "login" else f"app{special}x:{SECRET}"
    for end in (f"{HOST}/shop", f"{HOST}:5432/shop?sslmode=require", f"{HOST},b/shop"):
        with pytest.raises(ValueError, match=r"percent-encode") as raised:
            read_database_url(f"postgresql://{login}@{end}")
        assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://app:a%23b%2Fc%3Fd%40e%5Bf%25@{HOST}/shop",
        f"postgres://app:a:b:c!$&'()*+,;=~@{HOST}/shop",
        "postgresql://app@[2001:db8::1]:5432,[::1]/shop",
        "postgresql://a:5432,b:5433/shop?target_session_attrs=read-write",
        "postgresql://a,b/shop?port=1,2&user=me%40there",
        "postgresql:///shop?host=/run/pg",
        "postgresql://%2Frun%2Fpg/shop",
        "postgresql://localhost",
        f"postgresql://app@{HOST}/shop?sslmode=verify-full&sslrootcert=/etc/ssl/x.pem",
        f"postgresql://app@{HOST}/shop?options=endpoint%3Dep-1",
        f"postgresql://app@{HOST}/shop?options=-c%20search_path%3Dshop&sslnegotiation=direct",
    ],
)
def test_an_address_that_asyncpg_understands_stays_as_it_is(address: str) -> None:
    assert read_database_url(address) == address
    assert read_database_url(f" {address}\n") == address


# As providers and other languages' clients show them.
GIVEN = {
    "sslmode=require&channel_binding=require": "?sslmode=require",  # Neon
    "connect_timeout=10": "",
    "sslmode=require&connect_timeout=15&application_name=shop": "?sslmode=require",
    "keepalives=1&keepalives_idle=30&keepalives_interval=5&keepalives_count=3": "",
    "gssencmode=disable&tcp_user_timeout=1000&sslsni=1": "",
    "schema=public&connection_limit=5&pool_timeout=20": "?search_path=public",  # Prisma
    "sslmode=require&sslaccept=accept_invalid_certs&socket_timeout=3": "?sslmode=require",
    "pgbouncer=false&statement_cache_size=0": "",
    "ssl=true": "?sslmode=require",
    "ssl=1": "?sslmode=require",
    "ssl=false": "?sslmode=disable",
    "sslmode=no-verify": "?sslmode=require",  # Heroku, with Node
    "sslmode=REQUIRE": "?sslmode=require",
    "client_encoding=utf8": "",
    "statement_timeout=5000&lock_timeout=10": "",
    "target_session_attrs=any&load_balance_hosts=random": "?target_session_attrs=any",
    "sslrootcert=system": f"?sslrootcert={ssl.get_default_verify_paths().cafile}",
    "": "",
}


@pytest.mark.parametrize(("options", "left"), GIVEN.items())
def test_options_of_other_clients_are_translated_or_left_out(options: str, left: str) -> None:
    base = f"postgresql://app:{SECRET}@{HOST}:5432/shop"
    expected = base + left if options else f"{base}?"
    assert read_database_url(f"{base}?{options}") == expected


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("mysql://x", "must start with postgresql://"),
        ("postgresql+asyncpg://a@b/c", "must start with postgresql://"),
        ("jdbc:postgresql://a/b", "must start with postgresql://"),
        ('"postgresql://a@b/c"', "without quotes"),
        ("postgresql://a@b/c d", "a blank"),
        ("postgresql://a@b:0/c", "the port is not a number from 1 to 65535"),
        ("postgresql://a@b:65536/c", "the port is not a number"),
        ("postgresql://a@b:5432x/c", "the port is not a number"),
        ("postgresql://a@b/c?port=many", "the port is not a number"),
        ("postgresql://a@2001:db8::1/c", "IPv6 address in brackets"),
        ("postgresql://a:x%00y@b/c", "zero byte"),
        ("postgresql://a:x%FFy@b/c", "not UTF-8"),
        ("postgresql://a@b/c?sslmode", "not NAME=VALUE"),
        ("postgresql://a@b/c?sslmod=require", "option sslmod is unknown"),
        ("postgresql://a@b/c?sslmode=strict", "option sslmode must be disable or allow"),
        ("postgresql://a@b/c?sslaccept=strict", "option sslaccept must be"),
        ("postgresql://a@b/c?target_session_attrs=standby", "option target_session_attrs must be"),
        ("postgresql://a@b/c?gssencmode=require", "option gssencmode must be"),
        ("postgresql://a@b/c?client_encoding=latin1", "option client_encoding must be"),
        ("postgresql://a@b/c?replication=true", "option replication is unknown"),
        ("postgresql://a@b/c?pgbouncer=true", "option pgbouncer says that a pooler"),
        (f"postgresql://a@b/c?{SECRET}!=1", "option that it ends with is unknown"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(address: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as raised:
        read_database_url(address)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("process", [ProcessName.API, ProcessName.WORKER, ProcessName.MIGRATE])
@pytest.mark.parametrize("variable", ["DATABASE_URL", "QUEUE_DSN"])
def test_a_file_that_is_not_there_is_said_at_the_start(
    process: ProcessName, variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STAGE", "local")
    monkeypatch.setenv("DATABASE_URL", "postgresql://a@b/c")
    monkeypatch.setenv(variable, f"postgresql://a@b/c?sslrootcert={tmp_path}/none.pem")
    with pytest.raises(SettingsError) as raised:
        load_settings(process)
    assert raised.value.problems == [
        f"{variable}: option sslrootcert: {tmp_path}/none.pem cannot be read: "
        "No such file or directory"
    ]
