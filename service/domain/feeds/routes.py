"""Feeds over HTTP: follow one, unfollow it, read its entries."""

from collections.abc import Set
from typing import Annotated, Any

import asyncpg
import httpx
import msgspec
from litestar import Request, Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException, NotFoundException
from litestar.openapi.spec import Example
from litestar.params import Body, PathParameter
from msgspec import Meta

from service.domain.feeds import store
from service.domain.feeds.address import is_port, unreachable
from service.domain.feeds.store import (
    StoredEntry,
    StoredFeed,
    refresh_job,
    transaction_with_jobs,
)
from service.paging import LAST_ID, Cursor, Limit, position, refuse_others
from service.problem import InvalidFieldError, documented
from service.queue import JobQueue
from service.settings import Settings

FeedId = Annotated[int, PathParameter(ge=1, le=LAST_ID)]


class NewFeed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The address of a feed."""

    url: Annotated[
        str,
        Meta(
            pattern=r"^https?://[!-~]+$(?!\n)",
            max_length=2000,
            description="the http:// or https:// address of an RSS or Atom feed, in ASCII",
        ),
    ]


class FeedPage(msgspec.Struct, frozen=True):
    """Feeds, the last added first; `next_cursor` leads to older ones."""

    items: list[StoredFeed]
    next_cursor: str | None


class EntryPage(msgspec.Struct, frozen=True):
    """Entries, the last found first; `next_cursor` leads to older ones."""

    items: list[StoredEntry]
    next_cursor: str | None


@post(
    "/",
    status_code=201,
    summary="Follow a feed",
    operation_id="AddFeed",
    responses=documented(403, 409, 413, 415, 422),
)
async def add_feed(
    data: Annotated[NewFeed, Body(examples=[Example(value={"url": "https://example.com/rss"})])],
    pool: NamedDependency[asyncpg.Pool],
    queue: NamedDependency[JobQueue],
    settings: NamedDependency[Settings],
) -> Response[StoredFeed]:
    """A job checks it at once, and then every six hours. 409 if it is followed already."""
    url = _address(data.url, settings.internet_ports)
    async with transaction_with_jobs(pool, queue, settings) as (connection, jobs):
        if (feed := await store.add_feed(connection, url)) is None:
            raise HTTPException(f"The feed {url} is followed already.", status_code=409)
        jobs.append(refresh_job(queue, feed.id, url))
    return Response(feed, status_code=201)


@get("/", summary="List feeds", operation_id="ListFeeds", responses=documented(422))
async def read_feeds(
    *,
    request: Request[Any, Any, Any],
    pool: NamedDependency[asyncpg.Pool],
    cursor: Cursor = None,
    limit: Limit = 50,
) -> FeedPage:
    """The last added first, each with the result of its last check."""
    refuse_others(request, {"cursor", "limit"})
    found = await store.list_feeds(pool, before=position(cursor), limit=limit + 1)
    page = found[:limit]
    return FeedPage(page, str(page[-1].id) if len(found) > limit else None)


@delete(
    "/{feed_id:int}",
    summary="Leave a feed",
    operation_id="DeleteFeed",
    responses=documented(403, 404, 422),
)
async def delete_feed(
    feed_id: FeedId,
    pool: NamedDependency[asyncpg.Pool],
    queue: NamedDependency[JobQueue],
    settings: NamedDependency[Settings],
) -> None:
    """Its entries are deleted with it, and leave the search index a moment later."""
    async with transaction_with_jobs(pool, queue, settings) as (connection, jobs):
        entries = await store.delete_feed(connection, feed_id)
        if entries is None:
            raise NotFoundException(f"There is no feed {feed_id}.")
        jobs.extend(store.index_jobs(queue, entries))


@get(
    "/{feed_id:int}/entries",
    summary="Entries of a feed",
    operation_id="ListFeedEntries",
    responses=documented(404, 422),
)
async def read_entries(
    *,
    request: Request[Any, Any, Any],
    feed_id: FeedId,
    pool: NamedDependency[asyncpg.Pool],
    cursor: Cursor = None,
    limit: Limit = 50,
) -> EntryPage:
    """The last found first."""
    refuse_others(request, {"cursor", "limit"})
    found = await store.list_entries(pool, feed_id, before=position(cursor), limit=limit + 1)
    if not found and not await store.has_feed(pool, feed_id):
        raise NotFoundException(f"There is no feed {feed_id}.")
    page = found[:limit]
    return EntryPage(page, str(page[-1].id) if len(found) > limit else None)


def _address(given: str, ports: Set[int] | None) -> str:
    """The address in the form in which it is stored, once. Raises `InvalidFieldError`."""
    try:
        url = httpx.URL(given)
    except httpx.InvalidURL as error:
        raise InvalidFieldError("url", f"is no address: {error}") from None
    if not url.raw_host or url.userinfo:
        raise InvalidFieldError("url", "must have a host, and neither user name nor password")
    if url.port is not None and not is_port(url.port):
        raise InvalidFieldError("url", "must have a port from 1 to 65535, or none")
    if reason := unreachable(url.port or (443 if url.scheme == "https" else 80), ports):
        raise InvalidFieldError("url", f"cannot be fetched: {reason}")
    return str(url.copy_with(fragment=None))


route_handlers = [
    Router(
        "/api/v1/feeds",
        route_handlers=[add_feed, read_feeds, delete_feed, read_entries],
        tags=["Feeds"],
    )
]
