"""Search over HTTP."""

from typing import Annotated, Any

import asyncpg
import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from service.domain.search.index import Hit, open_index
from service.paging import Cursor, position, refuse_others
from service.problem import InvalidFieldError, documented

PAGE_MAX_HITS = 50
LAST_HIT = 1000  # the cost of a page grows with its offset

Words = Annotated[
    str,
    QueryParameter(
        min_length=1,
        max_length=200,
        description='Words to find; "a phrase", or, and -without are understood',
    ),
]


class HitPage(msgspec.Struct, frozen=True):
    """The hits, the best first; `next_cursor` leads on, up to the thousandth."""

    items: list[Hit]
    next_cursor: str | None


@get(
    "/api/v1/search",
    tags=["Search"],
    summary="Search",
    operation_id="Search",
    responses=documented(422),
)
async def search(
    *,
    request: Request[Any, Any, Any],
    pool: NamedDependency[asyncpg.Pool],
    q: Words,
    cursor: Cursor = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX_HITS)] = 20,
) -> HitPage:
    """The best first: words in the title count for more, and so do words close together."""
    refuse_others(request, {"q", "cursor", "limit"})
    offset = position(cursor) or 0
    if offset >= LAST_HIT:
        raise InvalidFieldError("cursor", "is not one that a page of this list has given")
    found = await open_index(pool).search(q, offset=offset, limit=limit + 1)
    is_more = len(found) > limit and offset + limit < LAST_HIT
    return HitPage(found[:limit], str(offset + limit) if is_more else None)


route_handlers = [search]
