"""Parses an RSS or Atom feed into entries of plain text."""

import calendar
import hashlib
import io
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import feedparser

from service.domain.feeds.dates import named_date
from service.domain.feeds.fetch import Answer, FeedError
from service.domain.feeds.repair import repair

MAX_ENTRIES = 1000  # the first entries of a feed
TITLE_MAX_CHARACTERS = 1000
SUMMARY_MAX_CHARACTERS = 100_000
KEY_MAX_CHARACTERS = 500  # Postgres's limit for a value in an index is 2,700 bytes
URL_MAX_CHARACTERS = 2000
MARKUP = {"text/html", "application/xhtml+xml"}
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry; title and summary are plain text, `url` is http or https."""

    guid: str
    url: str | None
    title: str
    summary: str
    published_at: datetime | None


@dataclass(frozen=True)
class Feed:
    """A feed's title and entries, each guid once."""

    title: str | None
    entries: list[Entry]


def read_feed(answer: Answer) -> Feed:
    """Parse a feed; blocks, for seconds with a large one. Broken XML is read as far as possible.

    Raises `FeedError` where the answer is no feed.
    """
    # Without the feed's address, because the library would join guids to it, and they would change
    # when the feed moves.
    headers = {"content-type": answer.content_type}
    # A file object, because the library would open a string as a path or an address.
    try:
        parsed = feedparser.parse(io.BytesIO(repair(answer.body or b"")), response_headers=headers)
    except Exception as error:  # a broken feed can make the library raise anything
        raise FeedError(f"cannot be read: {type(error).__name__}") from error
    if not parsed.version and not parsed.entries:
        raise FeedError("is neither RSS nor Atom")
    entries: dict[str, Entry] = {}
    for found in parsed.entries[:MAX_ENTRIES]:
        if entry := _entry(found, answer.url):
            entries.setdefault(entry.guid, entry)
    title = _text(parsed.feed, "title")[:TITLE_MAX_CHARACTERS]
    return Feed(title or None, list(entries.values()))


def _entry(found: Mapping[str, Any], base: str) -> Entry | None:
    title = _text(found, "title")[:TITLE_MAX_CHARACTERS]
    contents = found.get("content") or []
    summary = _plain(contents[0]) if contents else _text(found, "summary")
    link = _clean(str(found.get("link") or ""))
    guid = _clean(str(found.get("id") or "")) or link
    if not guid:
        if not title and not summary:
            return None
        guid = _digest(f"{title}\n{summary}")
    url = _joined(base, link)
    is_link = url.startswith(("http://", "https://")) and len(url) <= URL_MAX_CHARACTERS
    return Entry(
        guid=guid if len(guid) <= KEY_MAX_CHARACTERS else _digest(guid),
        url=url if is_link else None,
        title=title,
        summary=summary[:SUMMARY_MAX_CHARACTERS],
        published_at=_published(found),
    )


def _joined(base: str, link: str) -> str:
    try:
        return urljoin(base, link) if link else ""
    except ValueError:  # such as http://[
        return ""


def _text(found: Mapping[str, Any], name: str) -> str:
    return _plain(found.get(f"{name}_detail") or {"value": found.get(name)})


def _plain(detail: Mapping[str, Any]) -> str:
    value = str(detail.get("value") or "")
    if detail.get("type") in MARKUP:
        words = _Words()
        words.feed(value)
        words.close()
        value = "".join(words.found)
    return " ".join(_clean(value).split())


class _Words(HTMLParser):
    """The text between the tags; a tag separates words, unless it is an inline tag."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in {"a", "abbr", "b", "code", "em", "i", "span", "strong", "sub", "sup", "u"}:
            self.found.append(" ")


def _clean(value: str) -> str:
    """The text without characters that Postgres cannot store or that are invisible."""
    return UNPRINTABLE.sub("", value)


def _digest(value: str) -> str:
    return "sha256:" + hashlib.sha256(value.encode("utf-8")).hexdigest()


def _published(found: Mapping[str, Any]) -> datetime | None:
    for name in ("published", "updated"):
        if f"{name}_parsed" in found:  # without this check the library warns
            when = named_date(str(found.get(name) or "")) or _when(found[f"{name}_parsed"])
            if when is not None:
                return when
    return None


def _when(parsed: time.struct_time | None) -> datetime | None:
    try:
        return datetime.fromtimestamp(calendar.timegm(parsed), UTC) if parsed else None
    except (ValueError, OverflowError, OSError):
        return None
