"""The search domain: the best hits come first, and their HTML is safe."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import asyncpg
import httpx
import hypothesis
import pytest
from hypothesis import strategies as st

from service.domain.search.index import Document, PostgresIndex
from service.queue import InvalidPayloadError, Registry
from tests.conftest import Processes, until
from tests.domain.domain_worker import Domains, working
from tests.domain.first_release import migrations_applied_over
from tests.service.api.api_process import start_api

pytest_plugins = ["tests.service.api.conftest_api"]


@dataclass(frozen=True)
class Note:
    id: int
    title: str
    summary: str
    url: str | None


class Notes:
    """A source of content, as another domain would offer it."""

    async def find(self, pool: asyncpg.Pool, ids: Sequence[int]) -> list[Note]:
        rows = await pool.fetch("SELECT * FROM notes WHERE id = ANY($1::bigint[])", ids)
        return [Note(**row) for row in rows]

    async def ids(self, pool: asyncpg.Pool, *, after: int, limit: int) -> list[int]:
        rows = await pool.fetch(
            "SELECT id FROM notes WHERE id > $1 ORDER BY id LIMIT $2", after, limit
        )
        return [row["id"] for row in rows]

    async def count(self, pool: asyncpg.Pool) -> int:
        count: int = await pool.fetchval("SELECT count(*) FROM notes")
        return count


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(database, min_size=0, max_size=2) as made:
        yield made


@pytest.fixture
def index(pool: asyncpg.Pool) -> PostgresIndex:
    return PostgresIndex(pool)


@pytest.fixture
async def domains(database: str, registry: Registry, pool: asyncpg.Pool) -> AsyncIterator[Domains]:
    """The search domain alone, with notes as its content."""
    await pool.execute(
        "CREATE TABLE notes (id BIGSERIAL PRIMARY KEY, title TEXT, summary TEXT, url TEXT)"
    )
    async with working(database, registry) as running:
        running.context["search_sources"] = {"feed_entry": Notes()}
        yield running


def document(number: int, title: str, body: str = "") -> Document:
    return Document(
        content_type="feed_entry", content_id=number, title=title, body=body,
        url=f"https://example.com/{number}",
    )  # fmt: skip


async def found(index: PostgresIndex, words: str) -> list[int]:
    return [hit.content_id for hit in await index.search(words, offset=0, limit=10)]


async def make_notes(pool: asyncpg.Pool, count: int) -> list[int]:
    rows = await pool.fetch(
        "INSERT INTO notes (title, summary)"
        " SELECT 'Entry ' || n, 'about harbours' FROM generate_series(1, $1) n RETURNING id",
        count,
    )
    return [row["id"] for row in rows]


async def test_a_word_of_the_title_counts_for_more(index: PostgresIndex) -> None:
    await index.put([document(1, "Tides", "a harbour"), document(2, "Harbour news", "of tides")])
    assert await found(index, "harbour") == [2, 1]
    assert await found(index, "tide") == [1, 2]


async def test_words_are_understood_as_people_type_them(index: PostgresIndex) -> None:
    await index.put([document(1, "The night ferry sails"), document(2, "A ferry by night")])
    assert await found(index, '"night ferry"') == [1]
    assert await found(index, "ferries -sailing") == [2]
    assert sorted(await found(index, "sails or nights")) == [1, 2]
    for words in ("the", "'", '"', "& | !", "\\", ":*", "a" * 200, "<->", "-" * 33, "- " * 100):
        assert await found(index, words) == [], words


QUERY = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
    # Few signs again and again: that is where a parser has its limits.
    st.lists(st.sampled_from([*'-"!|&():*<>\\ \t', "or", "a"]), min_size=1, max_size=4).map(
        lambda signs: ("".join(signs) * 200)[:200]
    ),
    st.lists(st.sampled_from('--|<!" a'), min_size=150, max_size=200).map("".join),
)


async def test_no_words_are_an_error(index: PostgresIndex) -> None:
    queries: list[str] = []

    @hypothesis.settings(max_examples=400, database=None, deadline=None, derandomize=True)
    @hypothesis.given(QUERY.filter(lambda text: "\0" not in text))
    def collect(words: str) -> None:
        queries.append(words)

    collect()
    for words in queries:
        await index.search(words, offset=0, limit=1)
    assert len(queries) >= 400


async def test_what_is_shown_is_escaped_and_marked(index: PostgresIndex) -> None:
    await index.put(
        [
            document(
                1,
                "Ropes & <script>alert(1)</script> knots \x02",
                'Tie <img src=x onerror="alert(1)"> a knot, 1 < 2 \x03 and </mark> rest',
            )
        ]
    )
    (hit,) = await index.search("knot", offset=0, limit=10)
    shown = hit.title_html + hit.excerpt_html
    assert "<mark>knots</mark>" in hit.title_html
    assert "<mark>knot</mark>" in hit.excerpt_html
    bare = shown.replace("<mark>", "").replace("</mark>", "")
    assert "<" not in bare
    assert ">" not in bare
    assert shown.count("<mark>") == shown.count("</mark>") == 2


async def test_put_replaces_and_delete_may_be_repeated(index: PostgresIndex) -> None:
    await index.put([document(1, "Old words")])
    await index.put([document(1, "New names")])
    assert (await found(index, "words"), await found(index, "names")) == ([], [1])
    await index.delete("feed_entry", 1)
    await index.delete("feed_entry", 1)
    assert await found(index, "names") == []


async def test_a_text_of_any_size_can_be_indexed(index: PostgresIndex) -> None:
    many = " ".join(f"word{number}x" for number in range(200_000))
    await index.put([document(1, "Long", many), document(2, "Wide", "x" * 5_000_000)])
    assert await found(index, "word7x") == [1]


async def test_content_is_put_in_and_taken_out(domains: Domains, pool: asyncpg.Pool) -> None:
    (entry,) = await make_notes(pool, 1)
    content = {"content_type": "feed_entry", "content_id": entry}
    assert await domains.result("index_content", **content) == {"status": "indexed"}
    assert await pool.fetchval("SELECT count(*) FROM search_documents") == 1
    await pool.execute("DELETE FROM notes")
    assert await domains.result("index_content", **content) == {"status": "deleted"}
    assert await pool.fetchval("SELECT count(*) FROM search_documents") == 0


@pytest.mark.parametrize("task", ["index_content", "rebuild_search_index"])
async def test_what_is_deleted_or_changed_while_it_is_put_in_ends_as_it_is_then(
    domains: Domains, pool: asyncpg.Pool, index: PostgresIndex, task: str
) -> None:
    entries = await make_notes(pool, 2)
    contents = [{"content_type": "feed_entry", "content_id": entry} for entry in entries]
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND query LIKE 'INSERT INTO search_documents%'"
    )
    jobs = contents if task == "index_content" else [{}]
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE search_documents IN SHARE ROW EXCLUSIVE MODE")
        keys = [job.key for each in jobs if (job := await domains.queue.enqueue(task, **each))]

        async def have_read() -> bool:
            return bool(await pool.fetchval(waiting) == len(jobs))

        await until(have_read, what="the entries are read and about to be put in")
        # Their own jobs would find nothing to take out, and the new title overwritten later.
        await pool.execute("DELETE FROM notes WHERE id = $1", entries[0])
        await pool.execute("UPDATE notes SET title = 'Buoy' WHERE id = $1", entries[1])
    for key in keys:
        await domains.ended(key)
    assert await found(index, "entry") == []
    assert await found(index, "buoy") == [entries[1]]


async def test_content_that_no_domain_offers_fails_at_once(domains: Domains) -> None:
    domains.context["search_sources"].clear()
    job = await domains.run("index_content", content_type="feed_entry", content_id=1)
    assert (job.status, job.attempts) == ("failed", 1)
    assert "no domain offers feed_entry to be searched" in str(job.error)
    assert await domains.result("rebuild_search_index") == {"indexed": 0, "deleted": 0}


async def test_content_of_no_known_type_is_refused_at_once(domains: Domains) -> None:
    with pytest.raises(InvalidPayloadError, match=r"payload\.content_type"):
        await domains.queue.enqueue("index_content", content_type="dream", content_id=1)


async def test_a_rebuild_finds_what_is_missing_and_drops_what_is_gone(
    domains: Domains, pool: asyncpg.Pool, index: PostgresIndex
) -> None:
    entries = await make_notes(pool, 450)
    await index.put([document(max(entries) + 1, "Gone"), document(entries[0], "Outdated")])
    assert await domains.result("rebuild_search_index") == {"indexed": 450, "deleted": 1}
    assert await found(index, "gone") == []
    assert await found(index, "outdated") == []
    assert await pool.fetchval("SELECT count(*) FROM search_documents") == 450


def test_rebuild_runs_every_night_at_two(registry: Registry) -> None:
    schedule = registry.get("rebuild_search_index").schedule
    assert schedule is not None
    assert (schedule.timing.cron, schedule.timing.tz) == ("0 2 * * *", "UTC")


async def test_pages_have_every_hit_once(processes: Processes, index: PostgresIndex) -> None:
    await index.put([document(number, "Harbour") for number in range(1, 6)])
    api = await asyncio.to_thread(start_api, processes)
    with api.client() as http:
        hits, cursor = [], None
        while True:
            query = {"q": "harbours", "limit": "2"} | ({"cursor": cursor} if cursor else {})
            page = http.get("/api/v1/search", params=query).json()
            hits += page["items"]
            if not (cursor := page["next_cursor"]):
                break
    assert [hit["content_id"] for hit in hits] == [5, 4, 3, 2, 1]
    assert hits[0]["title_html"] == "<mark>Harbour</mark>"
    assert hits[0]["url"] == "https://example.com/5"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "q"),
        ("q=", "q"),
        ("q=" + "a" * 201, "q"),
        ("q=a&limit=51", "limit"),
        ("q=a&cursor=1000", "cursor"),
        ("q=a&cursor=-1", "cursor"),
        ("q=a&page=2", "page"),
    ],
)
def test_a_wrong_query_is_refused_with_the_name_of_its_parameter(
    http: httpx.Client, query: str, field: str
) -> None:
    answer = http.get(f"/api/v1/search?{query}")
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_a_database_of_the_first_release_has_the_tables_already(empty_database: str) -> None:
    applied = await migrations_applied_over(empty_database)
    assert not [name for name in applied if name.startswith("domain/search/")]
