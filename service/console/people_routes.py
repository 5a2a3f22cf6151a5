"""Who may sign in to the console with a password, over the API."""

from datetime import datetime
from typing import Annotated, Any

import asyncpg
import msgspec
from litestar import Request, Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import Body, FromPath

from service.console import audit, people
from service.problem import Problem, documented, problem

PEOPLE_PATH = "/api/v1/console/people"


class PersonRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Somebody who shall sign in."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._@+-]{1,100}$")]
    may_act: bool = False


class NewPerson(msgspec.Struct, frozen=True, kw_only=True):
    """Their password, which is shown this once."""

    name: str
    may_act: bool
    password: str


class PersonView(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may sign in."""

    name: str
    may_act: bool
    created_at: datetime


class PeopleList(msgspec.Struct, frozen=True):
    """Everybody who may sign in with a password, by name."""

    items: list[PersonView]


@get("/", summary="Who may sign in", operation_id="ListConsolePeople", responses=documented())
async def read_people(pool: NamedDependency[asyncpg.Pool]) -> PeopleList:
    """Without those who use the user name of the job pages."""
    found = await people.read(pool)
    return PeopleList(
        [PersonView(name=p.name, may_act=p.may_act, created_at=p.created_at) for p in found]
    )


@post(
    "/",
    status_code=201,
    summary="Let somebody sign in",
    operation_id="CreateConsolePerson",
    responses=documented(403, 409, 422),
)
async def add_person(
    data: Annotated[PersonRequest, Body()],
    request: Request[Any, Any, Any],
    pool: NamedDependency[asyncpg.Pool],
) -> NewPerson | Response[Problem]:
    """To look, or with `may_act` also to act. The answer has their password, which is kept nowhere.

    409 where the name is taken: remove the person first, for a new password too.
    """
    password = await people.add(pool, data.name, may_act=data.may_act)
    if password is None:
        return problem(request.scope["path"], 409, f"{data.name} may sign in already.")
    await audit.note(pool, "the API key", "add person", data.name)
    return NewPerson(name=data.name, may_act=data.may_act, password=password)


@delete(
    "/{name:str}",
    status_code=200,
    summary="Let somebody sign in no longer",
    operation_id="DeleteConsolePerson",
    responses=documented(403, 404),
)
async def remove_person(
    name: FromPath[str], request: Request[Any, Any, Any], pool: NamedDependency[asyncpg.Pool]
) -> PeopleList | Response[Problem]:
    """Ends their sessions too. Answers who may still sign in."""
    if not await people.remove(pool, name):
        return problem(request.scope["path"], 404, f"Nobody is called {name}.")
    await audit.note(pool, "the API key", "remove person", name)
    found = await people.read(pool)
    return PeopleList(
        [PersonView(name=p.name, may_act=p.may_act, created_at=p.created_at) for p in found]
    )


router = Router(
    PEOPLE_PATH, route_handlers=[read_people, add_person, remove_person], tags=["Console"]
)
