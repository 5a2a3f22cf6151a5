"""The query parameters `cursor` and `limit`, by which a list is read page by page."""

import re
from collections.abc import Container
from typing import Annotated, Any

from litestar import Request
from litestar.params import QueryParameter

from service.problem import InvalidFieldError

PAGE_MAX_ITEMS = 200
LAST_ID = 2**63 - 1

Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the page before")]
Limit = Annotated[int, QueryParameter(ge=1, le=PAGE_MAX_ITEMS)]


def refuse_others(
    request: Request[Any, Any, Any], known: set[str], *, several: Container[str] = ()
) -> None:
    """Raises `InvalidFieldError` for a query parameter that is not in `known`.

    And for one that is given twice, except for those in `several`.
    """
    for name in request.query_params:
        if name not in known:
            raise InvalidFieldError(name, "is not a parameter of this")
        if name not in several and len(request.query_params.getall(name)) > 1:
            raise InvalidFieldError(name, "is given more than once")


def position(cursor: str | None) -> int | None:
    """The number in a cursor. Raises `InvalidFieldError` for anything else."""
    if cursor is None:
        return None
    if not re.fullmatch(r"[0-9]{1,19}", cursor) or int(cursor) > LAST_ID:
        raise InvalidFieldError("cursor", "is not one that a page of this list has given")
    return int(cursor)
