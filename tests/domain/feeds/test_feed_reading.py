"""What real feeds hold: wrong characters, and the names of time zones."""

import asyncio
import sys
from datetime import UTC, datetime

import psutil
import pytest

from service.domain.feeds.fetch import Answer, FeedError
from service.domain.feeds.reader import MEMORY_MAX_BYTES, Reader
from service.domain.feeds.reading import Entry, Feed, read_feed
from tests.conftest import until


def answer(body: bytes) -> Answer:
    return Answer(
        url="https://feeds.example/rss",
        body=body,
        content_type="text/xml",
        etag=None,
        last_modified=None,
    )


def entries(title: bytes = b"", date: str = "") -> list[Entry]:
    """The entries of a feed whose first entry has this title, and whose second is right."""
    return read_feed(
        answer(
            b"<rss version='2.0'><channel><item><guid>1</guid><title>%s</title>"
            b"<pubDate>%s</pubDate></item><item><guid>2</guid><title>Gr\xc3\xbcezi</title></item></channel></rss>"
            % (title, date.encode())
        )
    ).entries


@pytest.mark.parametrize(
    ("title", "read"),
    [
        (b"a &#55357;&#56832; b", "a \U0001f600 b"),
        (b"&#xD83D;&#xDE00;", "\U0001f600"),
        (b"&#xd83d;&#56832;", "\U0001f600"),
        (b"&#55357;&#55357;&#56832;", "\ufffd\U0001f600"),
        (b"<![CDATA[&#55357;&#56832;]]>", "\U0001f600"),
        (b"&amp;#55357;&amp;#56832;", "\U0001f600"),
        (b"\xed\xa0\xbd\xed\xb8\x80", "\U0001f600"),
        (b"&#xD83D; b", "\ufffd b"),
        (b"a &#xDE00;", "a \ufffd"),
        (b"&#56832;&#55357;", "\ufffd\ufffd"),
        (b"&#xD83D;&#x41;", "\ufffdA"),
        (b"a \xed\xa0\xbd b", "a \ufffd b"),
        (b"&#0;a", "\ufffda"),
        (b"&#1;a", "\ufffda"),
        (b"&#xFFFF;", "\ufffd"),
        (b"&#xFFFE;", "\ufffd"),
        (b"&#1114112;", "\ufffd"),
        (b"&#99999999999999999999;", "\ufffd"),
        (b"&#x000000000000041;", "A"),
        (b"&#128512;", "\U0001f600"),
        (b"a \xff b", "a \ufffd b"),
        (b"a \x00\x01 b", "a b"),
        (b"&bogus; a", "&bogus; a"),
    ],
)
def test_a_wrong_character_spoils_only_its_own_place(title: bytes, read: str) -> None:
    found = entries(title)
    assert [each.title for each in found] == [read, "Gr\u00fcezi"]
    assert read.encode("utf-8")


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1", "utf-8-sig"])
def test_it_is_repaired_in_every_encoding(encoding: str) -> None:
    declared = "" if encoding == "utf-8-sig" else f"<?xml version='1.0' encoding='{encoding}'?>"
    text = "<rss version='2.0'><channel><item><title>\u00e9 &#55357;&#56832;</title></item>"
    (entry,) = read_feed(answer(f"{declared}{text}</channel></rss>".encode(encoding))).entries
    assert entry.title == "\u00e9 \U0001f600"


@pytest.mark.parametrize(
    ("zone", "hour"),
    [
        ("CEST", 8), ("CET", 9), ("MESZ", 8), ("WEST", 9), ("WET", 10), ("EET", 8), ("EEST", 7),
        ("BST", 9), ("MSK", 7), ("TRT", 7), ("SAST", 8), ("JST", 1), ("KST", 1), ("SGT", 2),
        ("AEST", 0), ("BRT", 13), ("ART", 13), ("HST", 20), ("AKST", 19),
        ("EST", 15), ("EDT", 14), ("CST", 16), ("CDT", 15), ("MST", 17), ("MDT", 16), ("PST", 18),
        ("PDT", 17), ("UT", 10), ("UTC", 10), ("GMT", 10), ("cest", 8),
        ("Z", 10), ("A", 10), ("M", 10), ("N", 10), ("Y", 10),
        ("", 10), ("+0200", 8), ("-0500", 15), ("+0200 (CEST)", 8), ("CEST (summer)", 8),
        ("GMT+2", 8), ("GMT-0500", 15), ("UTC+02:00", 8), ("XYZ", 10),
    ],
)  # fmt: skip
def test_a_zone_by_name_is_known(zone: str, hour: int) -> None:
    (first, _) = entries(date=f"Fri, 20 Nov 2026 10:00:00 {zone}".strip())
    assert first.published_at == datetime(2026, 11, 20, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("date", "read"),
    [
        ("2026-11-20T10:00:00 CEST", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("2026-11-20 10:00 JST", datetime(2026, 11, 20, 1, tzinfo=UTC)),
        ("20 Nov 2026 10:00:00", datetime(2026, 11, 20, 10, tzinfo=UTC)),
        ("2026-11-20T10:00:00Z", datetime(2026, 11, 20, 10, tzinfo=UTC)),
        ("2026-11-20T10:00:00+02:00", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("Fri, 20 Nov 26 10:00:00 CEST", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("Fri, 20 Nov 2026 10:00:00 IST", datetime(2026, 11, 20, 4, 30, tzinfo=UTC)),
        ("Fri, 99 Nov 2026 10:00:00 CEST", None),
        ("soon CEST", None),
    ],
)
def test_a_date_is_read_as_it_is_written_or_not_at_all(date: str, read: datetime | None) -> None:
    assert entries(date=date)[0].published_at == read


NESTED = b"<rss version='2.0'><channel>" + b"<a>" * 1_600_000


async def test_a_feed_that_needs_too_much_memory_is_left() -> None:
    with pytest.raises(FeedError, match="memory"):
        await Reader(memory_bytes=90_000_000).read(answer(NESTED))


async def test_what_parses_a_feed_is_bounded_and_knows_no_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://app:secret@database/app")
    reading = asyncio.create_task(Reader().read(answer(NESTED)))
    try:

        async def child() -> psutil.Process | None:
            for found in psutil.Process().children():
                if "service.domain.feeds.reader" in found.cmdline():
                    return found
            return None

        found: psutil.Process = await until(child, what="the parser runs")
        assert set(found.environ()) <= {"PATH", "LANG", "LC_CTYPE", "__CF_USER_TEXT_ENCODING"}
        if sys.platform == "linux":
            bound = (MEMORY_MAX_BYTES, MEMORY_MAX_BYTES)
            await until(lambda: found.rlimit(psutil.RLIMIT_AS) == bound, what="it is bounded")
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def test_a_large_feed_has_enough() -> None:
    item = b"<item><guid>%d</guid><title>a title</title><description>%s</description></item>"
    body = b"".join(item % (number, b"word " * 900) for number in range(1000))
    feed = await Reader().read(answer(b"<rss version='2.0'><channel>" + body + b"</channel></rss>"))
    assert isinstance(feed, Feed)
    assert len(feed.entries) == 1000
