"""Fetching a feed: bad servers, and addresses that must not be reached."""

import gzip
import ipaddress
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from service import contract
from service.domain.feeds.address import is_public, unreachable
from service.domain.feeds.fetch import FeedError, Fetcher
from service.domain.feeds.reading import MAX_ENTRIES, read_feed
from service.domain.feeds.unpack import Unpacker
from tests.domain.feeds.feed_server import ETAG, FILES, LIMIT, FeedServer

HERE = ipaddress.ip_address("127.0.0.1")


@pytest.fixture
def server() -> Iterator[FeedServer]:
    served = FeedServer()
    yield served
    served.close()


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    """A fetcher that may connect to this machine's first address, and to no other."""
    made = Fetcher(may_connect=lambda address: address == HERE, max_bytes=LIMIT, seconds=10)
    yield made
    await made.close()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """Names that DNS knows, each with the addresses of its answers, one after the other."""
    known: dict[str, list[list[str]]] = {}
    ask = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **options: Any) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host
        addresses = known[name].pop(0) if name in known else [name]
        return [each for address in addresses for each in ask(address, port, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "169.254.170.2",
        "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1",
        "fd00:ec2::254", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe", "2002:7f00:1::", "ff02::1", "fec0::1", "::169.254.169.254",
        "::ffff:0:10.0.0.1", "192.0.0.8", "192.0.0.192", "192.0.0.9", "192.88.99.1",
        "168.63.129.16",
        "3fff::1", "3fff:fff::1", "2001:db8::1", "2001::1", "2001:0:a9fe:a9fe::1", "2001:2::1",
        "2001:10::1", "2001:20::1", "2001:30::1", "2002:a9fe:a9fe::1", "64:ff9b::10.0.0.1",
        "5f00::1", "100::1", "2606:4700::5efe:10.0.0.1", "2606:4700::200:5efe:169.254.169.254",
        "100.100.100.200", "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.0.2.1", "240.0.0.1",
        "255.255.255.254", "0.1.2.3", "fc00::1", "::ffff:168.63.129.16",
    ],
)  # fmt: skip
def test_no_private_address_is_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address",
    [
        "1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "2001:4860:4860::8888", "100.63.0.1",
        "172.32.0.1", "192.0.1.1", "192.31.196.1", "168.63.129.17", "198.20.0.1", "223.255.255.255",
        "::ffff:1.1.1.1", "2a00:1450::1", "3ffe::1",
    ],
)  # fmt: skip
def test_a_public_address_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "127.1", "0x7f000001", "[::ffff:127.0.0.1]"]
)
async def test_no_spelling_of_this_machine_is_connected_to_in_production(
    server: FeedServer, host: str
) -> None:
    fetcher = Fetcher()
    with pytest.raises(FeedError, match=r"not on the public internet|has no address"):
        await fetcher.fetch(server.url("/rss.xml", host=host))
    await fetcher.close()
    assert server.seen == []


async def test_a_redirect_to_a_private_address_is_refused(
    server: FeedServer, fetcher: Fetcher
) -> None:
    secret = FeedServer(host="127.0.0.2")
    server.locations = {"/a": "/b", "/b": secret.url("/rss.xml")}
    with pytest.raises(FeedError, match=r"'127\.0\.0\.2' is not on the public internet"):
        await fetcher.fetch(server.url("/a"))
    secret.close()
    assert [path for path, _ in server.seen] == ["/a", "/b"]
    assert secret.seen == []


async def test_the_address_that_was_checked_is_the_one_that_is_connected_to(
    server: FeedServer, fetcher: Fetcher, names: dict[str, list[list[str]]]
) -> None:
    names["rebound.test"] = [["127.0.0.1"], ["127.0.0.2"]]  # each time it is asked for
    answer = await fetcher.fetch(server.url("/rss.xml", host="rebound.test"))
    assert answer.body
    assert names["rebound.test"] == [["127.0.0.2"]]


async def test_a_name_with_a_private_address_among_others_is_refused(
    server: FeedServer, fetcher: Fetcher, names: dict[str, list[list[str]]]
) -> None:
    names["mixed.test"] = [["127.0.0.1", "127.0.0.2"]]
    with pytest.raises(FeedError, match="not on the public internet"):
        await fetcher.fetch(server.url("/rss.xml", host="mixed.test"))
    assert server.seen == []


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("file:///etc/passwd", "no http:// or https:// address"),
        ("http://user:pass@127.0.0.1/", "has a user name"),
        ("http://[::1", "no address of a feed"),
        ("http://127.0.0.1:65536/", "has the port 65536, which is none"),
        (f"http://127.0.0.1:{10**20}/", "which is none"),
        ("/around", "more than 5 redirects"),
    ],
)
async def test_a_redirect_to_nowhere_is_refused(
    server: FeedServer, fetcher: Fetcher, location: str, reason: str
) -> None:
    server.locations = {"/around": location}
    with pytest.raises(FeedError, match=reason):
        await fetcher.fetch(server.url("/around"))
    assert len(server.seen) == (6 if location == "/around" else 1)


@pytest.mark.parametrize("location", ["http://127.0.0.1:8080/", "https://127.0.0.1:8443/rss"])
async def test_a_redirect_to_a_closed_port_is_refused_at_once(
    server: FeedServer, location: str
) -> None:
    port = server.server.server_port
    fetcher = Fetcher(may_connect=lambda address: True, ports={port, 443})
    server.locations = {"/around": location}
    with pytest.raises(FeedError, match=r"leads to port 8\d{3}: this stage only reaches the ports"):
        await fetcher.fetch(server.url("/around"))
    await fetcher.close()
    assert len(server.seen) == 1


@pytest.mark.parametrize("url", ["http://example.com/rss", "https://example.com/rss"])
async def test_a_stage_that_reaches_aws_alone_says_so(url: str) -> None:
    fetcher = Fetcher(ports=set())
    with pytest.raises(FeedError, match=r'nothing else on the internet .egress = "endpoints"') as e:
        await fetcher.fetch(url)
    await fetcher.close()
    assert not e.value.is_temporary


def test_feeds_may_be_fetched_on_the_ports_that_workers_may_use() -> None:
    for port in contract.WORKER_INTERNET_PORTS:
        assert unreachable(port, frozenset(contract.WORKER_INTERNET_PORTS)) is None
    assert unreachable(8080, frozenset(contract.WORKER_INTERNET_PORTS))
    assert unreachable(8080, None) is None


async def test_the_host_is_asked_for_by_its_name(server: FeedServer) -> None:
    fetcher = Fetcher(may_connect=lambda address: True)
    server.locations = {"/moved": "/rss.xml?page=1"}
    server.bodies = {"/rss.xml?page=1": b"<rss/>"}
    answer = await fetcher.fetch(server.url("/moved", host="localhost"))
    await fetcher.close()
    port = server.server.server_port
    assert {headers["Host"] for _, headers in server.seen} == {f"localhost:{port}"}
    assert answer.url == server.url("/rss.xml?page=1", host="localhost")


async def test_a_certificate_is_checked_for_the_name(tmp_path: Path) -> None:
    asked: list[str] = []
    context = _self_signed(tmp_path)
    context.sni_callback = lambda sock, name, of: asked.append(name)
    server = FeedServer(context=context)
    fetcher = Fetcher(may_connect=lambda address: True)
    with pytest.raises(FeedError, match="CERTIFICATE_VERIFY_FAILED"):
        await fetcher.fetch(server.url("/rss.xml", host="localhost"))
    await fetcher.close()
    server.close()
    assert set(asked) == {"localhost"}


async def test_an_endless_answer_is_cut_off_soon(server: FeedServer, fetcher: Fetcher) -> None:
    with pytest.raises(FeedError, match=r"larger than 0\.3 MB"):
        await fetcher.fetch(server.url("/endless.xml"))
    assert server.sent < 20 * LIMIT  # what the buffers of both ends took


async def test_an_answer_that_unpacks_to_too_much_is_refused(
    server: FeedServer, fetcher: Fetcher
) -> None:
    with pytest.raises(FeedError, match=r"larger than 0\.3 MB"):
        await fetcher.fetch(server.url("/bomb.xml"))


async def test_bytes_after_the_end_of_a_packed_answer_are_not_read(
    server: FeedServer, fetcher: Fetcher
) -> None:
    answer = await fetcher.fetch(server.url("/trailing.xml"))
    assert answer.body == (FILES / "rss.xml").read_bytes()
    assert server.sent < 20 * LIMIT  # what the buffers of both ends took


async def test_a_packed_answer_is_unpacked(server: FeedServer, fetcher: Fetcher) -> None:
    answer = await fetcher.fetch(server.url("/packed.xml"))
    assert answer.body == (FILES / "rss.xml").read_bytes()


RSS = (FILES / "rss.xml").read_bytes()
HALVES = gzip.compress(RSS[:500]) + gzip.compress(RSS[500:])


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(RSS)),
        ("gzip", HALVES),
        ("x-gzip", HALVES),
        ("GZIP", b"".join(gzip.compress(RSS[at : at + 40]) for at in range(0, len(RSS), 40))),
        ("gzip", gzip.compress(b"") + HALVES + gzip.compress(b"")),
        ("gzip", zlib.compress(RSS)),
        ("gzip", HALVES + b"\0" * 100),
        ("deflate", zlib.compress(RSS)),
        ("deflate", zlib.compress(RSS, wbits=-15)),
        ("deflate", gzip.compress(RSS)),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_however_it_is_packed_and_parted_the_whole_is_read(
    encoding: str, packed: bytes, size: int
) -> None:
    unpacker, found = Unpacker(encoding.lower()), b""
    for at in range(0, len(packed), size):
        found += unpacker.feed(packed[at : at + size], LIMIT)
    assert found == RSS
    assert unpacker.is_whole


@pytest.mark.parametrize(
    "packed", [HALVES[:-9], HALVES[: len(gzip.compress(RSS[:500])) - 1], HALVES[:1], b""]
)
def test_a_packed_answer_that_is_cut_is_not_taken_for_whole(packed: bytes) -> None:
    unpacker = Unpacker("gzip")
    unpacker.feed(packed, LIMIT)
    assert not unpacker.is_whole


@pytest.mark.parametrize("bomb", [gzip.compress(b"x" * LIMIT) * 3, gzip.compress(b"") * 16_000])
async def test_many_members_are_as_bounded_as_one(
    server: FeedServer, fetcher: Fetcher, bomb: bytes
) -> None:
    server.bodies = {"/many": bomb}
    server.headers = {"/many": {"Content-Encoding": "gzip"}}
    with pytest.raises(FeedError, match=r"larger than 0\.3 MB"):
        await fetcher.fetch(server.url("/many"))


async def test_an_answer_of_two_members_is_read_as_one(
    server: FeedServer, fetcher: Fetcher
) -> None:
    server.bodies = {"/two": HALVES}
    server.headers = {"/two": {"Content-Encoding": "gzip"}}
    assert (await fetcher.fetch(server.url("/two"))).body == RSS


async def test_a_slow_server_is_left_when_the_time_is_over(server: FeedServer) -> None:
    fetcher = Fetcher(may_connect=lambda address: True, seconds=1)
    with pytest.raises(FeedError, match="no whole answer within 1 s") as caught:
        await fetcher.fetch(server.url("/slow.xml"))
    await fetcher.close()
    assert caught.value.is_temporary
    assert server.sent > 0


@pytest.mark.parametrize(
    ("path", "reason", "is_temporary"),
    [
        ("/down.xml", "answers 503", True),
        ("/nowhere.xml", "answers 404", False),
        ("/cut.xml", "connection failed", True),
    ],
)
async def test_an_error_says_whether_it_may_pass(
    server: FeedServer, fetcher: Fetcher, path: str, reason: str, is_temporary: bool
) -> None:
    with pytest.raises(FeedError, match=reason) as caught:
        await fetcher.fetch(server.url(path))
    assert caught.value.is_temporary is is_temporary


async def test_nobody_listening_is_an_error_that_may_pass(fetcher: Fetcher) -> None:
    gone = FeedServer()
    gone.close()
    with pytest.raises(FeedError, match="connection failed") as caught:
        await fetcher.fetch(gone.url("/rss.xml"))
    assert caught.value.is_temporary


async def test_what_has_not_changed_is_not_sent_again(server: FeedServer, fetcher: Fetcher) -> None:
    first = await fetcher.fetch(server.url("/conditional.xml"))
    assert first.etag == ETAG
    again = await fetcher.fetch(server.url("/conditional.xml"), etag=first.etag)
    assert (first.body is None, again.body) == (False, None)


@pytest.mark.parametrize("etag", ['"\u00fc"', '"' + "v" * 1000 + '"'])
async def test_a_validator_that_cannot_be_sent_back_is_dropped(
    server: FeedServer, fetcher: Fetcher, etag: str
) -> None:
    server.etag = etag
    answer = await fetcher.fetch(server.url("/conditional.xml"))
    assert (answer.etag, bool(answer.body)) == (None, True)


async def test_rss_is_read_into_plain_text(server: FeedServer, fetcher: Fetcher) -> None:
    feed = read_feed(await fetcher.fetch(server.url("/rss.xml")))
    assert feed.title == "The Harbour Gazette"
    assert [entry.guid for entry in feed.entries] == [
        "gazette-3", "gazette-2", "https://gazette.example/no-guid",
    ]  # fmt: skip
    ferries, lighthouse, _ = feed.entries
    assert ferries.title == "Ferries & tides: what changes in winter"
    assert ferries.summary == "The night ferry sails again. Mooring is free <until> March."
    assert ferries.url == "https://gazette.example/ferries?utm_source=rss&id=3"
    assert ferries.published_at == datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
    assert (lighthouse.url, lighthouse.published_at) == (None, None)
    assert lighthouse.summary == "It is red & white now."


async def test_atom_is_read_into_plain_text(server: FeedServer, fetcher: Fetcher) -> None:
    feed = read_feed(await fetcher.fetch(server.url("/atom.xml")))
    (entry,) = feed.entries
    assert feed.title == "Notes — a weblog"
    assert (entry.title, entry.summary) == ("Grüezi from the quay", "A short walk.")
    assert entry.url == "https://notes.example/quay"
    assert entry.published_at == datetime(2026, 11, 19, 8, 0, tzinfo=UTC)


async def test_broken_xml_is_read_as_far_as_it_goes(server: FeedServer, fetcher: Fetcher) -> None:
    feed = read_feed(await fetcher.fetch(server.url("/broken.xml")))
    assert [(entry.guid, entry.title) for entry in feed.entries] == [
        ("a-1", "Fish & chips"), ("a-2", "Second"),
    ]  # fmt: skip


async def test_the_encoding_is_the_one_the_file_says(server: FeedServer, fetcher: Fetcher) -> None:
    feed = read_feed(await fetcher.fetch(server.url("/windows.xml")))
    assert (feed.title, feed.entries[0].title) == ("Café", "“Crème” brûlée")


async def test_a_page_is_no_feed(server: FeedServer, fetcher: Fetcher) -> None:
    with pytest.raises(FeedError, match="neither RSS nor Atom"):
        read_feed(await fetcher.fetch(server.url("/page.html")))


async def test_of_a_feed_with_very_many_entries_the_first_are_taken(
    server: FeedServer, fetcher: Fetcher
) -> None:
    items = b"".join(b"<item><guid>%d</guid></item>" % number for number in range(MAX_ENTRIES + 9))
    server.bodies = {"/many": b"<rss version='2.0'><channel>" + items + b"</channel></rss>"}
    entries = read_feed(await fetcher.fetch(server.url("/many"))).entries
    assert [entry.guid for entry in entries] == [str(number) for number in range(MAX_ENTRIES)]


async def test_a_feed_that_moves_keeps_its_guids_and_its_links_lead_on(
    server: FeedServer, fetcher: Fetcher
) -> None:
    items = b"<item><guid>7</guid><link>posts/7</link></item><item><link>posts/8</link></item>"
    body = b"<rss version='2.0'><channel>" + items + b"<item><title>a</title></item>"
    server.bodies = {"/old/rss": body + b"</channel></rss>", "/new/rss": body}  # strict and not
    for folder in ("old", "new"):
        entries = read_feed(await fetcher.fetch(server.url(f"/{folder}/rss"))).entries
        assert [entry.guid for entry in entries[:2]] == ["7", "posts/8"]
        assert [entry.url for entry in entries] == [
            server.url(f"/{folder}/posts/7"), server.url(f"/{folder}/posts/8"), None,
        ]  # fmt: skip


async def test_nothing_unstorable_comes_out_of_a_feed(server: FeedServer, fetcher: Fetcher) -> None:
    server.bodies = {
        "/odd": b"<rss version='2.0'><channel><item><title>a&#0;b\x00c\x01d</title>"
        b"<guid>" + b"g" * 5000 + b"</guid><pubDate>Mon, 01 Jan 99999 00:00:00 GMT</pubDate>"
        b"</item></channel></rss>"
    }
    (entry,) = read_feed(await fetcher.fetch(server.url("/odd"))).entries
    assert "\x00" not in entry.title
    assert entry.title.encode("utf-8")
    assert len(entry.guid) < 100


def _self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context
