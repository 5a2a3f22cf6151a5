"""The feeds domain: each entry is stored once, and a feed's row says what is wrong with it."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import httpx
import psutil
import pytest
from pydantic import SecretStr
from saq import Status

from service.contract import ProcessName
from service.domain.feeds.reader import Reader
from service.domain.feeds.routes import delete_feed
from service.domain.feeds.store import index_jobs, refresh_job, transaction_with_jobs
from service.queue import Registry, create_queue, discover
from service.settings import settings_of
from tests.conftest import Processes, until
from tests.domain.domain_worker import Domains
from tests.domain.feeds.feed_server import FeedServer
from tests.domain.feeds.following import following, with_sample_search
from tests.domain.first_release import migrations_applied_over
from tests.service.api.api_process import start_api


@pytest.fixture
def server() -> Iterator[FeedServer]:
    served = FeedServer()
    yield served
    served.close()


@pytest.fixture(scope="module")
def registry() -> Registry:
    return with_sample_search(discover())


@pytest.fixture
async def domains(database: str, registry: Registry) -> AsyncIterator[Domains]:
    async with following(database, registry) as running:
        yield running


async def follow(db: asyncpg.Connection, url: str) -> int:
    feed_id: int = await db.fetchval("INSERT INTO feeds (url) VALUES ($1) RETURNING id", url)
    return feed_id


async def test_entries_are_stored_once_and_indexed(
    domains: Domains, db: asyncpg.Connection, server: FeedServer
) -> None:
    url = server.url("/rss.xml")
    feed_id = await follow(db, url)
    first = await domains.result("refresh_single_feed", feed_url=url)
    again = await domains.result("refresh_single_feed", feed_url=url)
    assert first == {"status": "stored", "new_entries": 3}
    assert again == {"status": "stored", "new_entries": 0}
    await domains.idle()
    rows = await db.fetch("SELECT id, guid FROM feed_entries WHERE feed_id = $1", feed_id)
    assert len(rows) == 3
    indexed = await db.fetch("SELECT content_id FROM indexed")
    assert {row["content_id"] for row in indexed} == {row["id"] for row in rows}
    feed = await db.fetchrow("SELECT * FROM feeds")
    assert feed is not None
    assert (feed["title"], feed["error"]) == ("The Harbour Gazette", None)
    tracked = await db.fetch("SELECT task, status FROM background_jobs")
    assert {(row["task"], row["status"]) for row in tracked} == {
        ("refresh_single_feed", "complete"), ("index_content", "complete"),
    }  # fmt: skip


async def test_old_entries_make_room_unless_the_feed_still_holds_them(
    domains: Domains, db: asyncpg.Connection, server: FeedServer
) -> None:
    url = server.url("/growing.xml")
    item = "<item><guid>{0}</guid><title>Entry {0}</title></item>"
    items = "".join(item.format(guid) for guid in ("new 2", "new 1", "old 1"))
    server.bodies = {
        "/growing.xml": f"<rss version='2.0'><channel>{items}</channel></rss>".encode()
    }
    feed_id = await follow(db, url)
    other = await follow(db, server.url("/other.xml"))
    for feed, count in ((other, 2), (feed_id, 10_000)):
        await db.execute(
            "INSERT INTO feed_entries (feed_id, guid, title, summary)"
            " SELECT $1, 'old ' || n, 'Entry old ' || n, '' FROM generate_series(1, $2) n",
            feed,
            count,
        )
    oldest = "SELECT id FROM feed_entries WHERE feed_id = $1 AND guid = 'old 2'"
    content_id = await db.fetchval(oldest, feed_id)
    await domains.run("index_content", content_type="feed_entry", content_id=content_id)
    assert await db.fetchval("SELECT content_id FROM indexed") == content_id

    found = [await domains.result("refresh_single_feed", feed_url=url) for _ in range(2)]
    assert [each["new_entries"] for each in found] == [2, 0]
    guids = await db.fetch("SELECT guid FROM feed_entries WHERE feed_id = $1 ORDER BY id", feed_id)
    assert [row["guid"] for row in guids[:2]] == ["old 1", "old 3"]
    assert [row["guid"] for row in guids[-2:]] == ["new 1", "new 2"]
    assert len(guids) == 10_001
    assert await db.fetchval(oldest, other) is not None
    await domains.idle()
    indexed = await db.fetch("SELECT title FROM indexed ORDER BY content_id")
    assert [row["title"] for row in indexed] == ["Entry new 1", "Entry new 2"]


async def test_an_unchanged_feed_is_not_read_again(
    domains: Domains, db: asyncpg.Connection, server: FeedServer
) -> None:
    url = server.url("/conditional.xml")
    await follow(db, url)
    assert (await domains.result("refresh_single_feed", feed_url=url))["status"] == "stored"
    before = await db.fetchval("SELECT checked_at FROM feeds")
    result = await domains.result("refresh_single_feed", feed_url=url)
    assert result == {"status": "unchanged"}
    assert await db.fetchval("SELECT checked_at FROM feeds") > before


async def test_a_broken_feed_says_why_until_it_is_right_again(
    domains: Domains, db: asyncpg.Connection, server: FeedServer
) -> None:
    url = server.url("/changing.xml")
    server.bodies = {"/changing.xml": b"<html>not today</html>"}
    await follow(db, url)
    result = await domains.result("refresh_single_feed", feed_url=url)
    assert result == {"status": "broken", "error": "is neither RSS nor Atom"}
    assert await db.fetchval("SELECT error FROM feeds") == "is neither RSS nor Atom"
    server.bodies = {
        "/changing.xml": b"<rss version='2.0'><channel><title>Back</title></channel></rss>"
    }
    assert (await domains.result("refresh_single_feed", feed_url=url))["status"] == "stored"
    assert await db.fetchval("SELECT error FROM feeds") is None


async def test_a_temporary_error_is_retried_before_the_feed_counts_as_broken(
    domains: Domains, db: asyncpg.Connection, server: FeedServer
) -> None:
    url = server.url("/down.xml")
    await follow(db, url)
    job = await domains.run("refresh_single_feed", feed_url=url, retries=2, retry_delay=0)
    assert (job.status, job.attempts) == (Status.COMPLETE, 2)
    assert job.result == {"status": "broken", "error": "its server answers 503"}
    assert len(server.seen) == 2


async def test_a_feed_that_keeps_the_parser_busy_is_left(
    domains: Domains, db: asyncpg.Connection, server: FeedServer
) -> None:
    url = server.url("/busy.xml")  # a minute and more: its time grows with the square of its size
    server.bodies = {
        "/busy.xml": b"<rss version='2.0'><channel><item><guid>1</guid><description><![CDATA["
        + b"<!--" * 70_000 + b"]]></description></item></channel></rss>"
    }  # fmt: skip
    domains.context["reader"] = Reader(seconds=2)
    await follow(db, url)
    result = await domains.result("refresh_single_feed", feed_url=url)
    assert result == {"status": "broken", "error": "cannot be read within 2 s"}
    left = [child.cmdline() for child in psutil.Process().children()]
    assert not [command for command in left if "service.domain.feeds.reader" in command]


async def test_a_private_address_is_an_error_beside_the_feed(
    domains: Domains, db: asyncpg.Connection, server: FeedServer
) -> None:
    url = server.url("/inward")
    server.locations = {"/inward": "http://169.254.169.254/latest/meta-data/"}
    await follow(db, url)
    result = await domains.result("refresh_single_feed", feed_url=url)
    assert result["status"] == "broken"
    assert await db.fetchval("SELECT error FROM feeds") == (
        "the host '169.254.169.254' is not on the public internet"
    )


async def test_all_feeds_are_refreshed_by_one_job_each(
    domains: Domains, db: asyncpg.Connection, server: FeedServer
) -> None:
    for number in range(3):
        server.bodies[f"/{number}"] = (
            b"<rss version='2.0'><channel><item><guid>%d</guid></item></channel></rss>" % number
        )
        await follow(db, server.url(f"/{number}"))
    assert await domains.result("refresh_all_feeds") == {"feeds": 3, "enqueued": 3}
    await domains.idle()
    assert sorted(path for path, _ in server.seen) == ["/0", "/1", "/2"]
    assert await db.fetchval("SELECT count(*) FROM feed_entries") == 3


async def test_a_feed_that_waits_for_its_check_is_not_enqueued_twice(
    domains: Domains, db: asyncpg.Connection, server: FeedServer
) -> None:
    url = server.url("/slow.xml")
    feed_id = await follow(db, url)
    await domains.result("refresh_all_feeds")
    await until(lambda: server.seen, what="it is being fetched")
    assert await domains.result("refresh_all_feeds") == {"feeds": 1, "enqueued": 0}
    job = await domains.queue.job(f"refresh-feed-{feed_id}")
    assert job is not None
    await domains.queue.abort(job, "enough")


def test_refresh_runs_every_six_hours(registry: Registry) -> None:
    schedule = registry.get("refresh_all_feeds").schedule
    assert schedule is not None
    assert (schedule.timing.cron, schedule.timing.tz) == ("0 */6 * * *", "UTC")
    assert schedule.is_unique


async def test_indexing_follows_the_commit_where_the_jobs_are_kept_elsewhere(
    database: str, registry: Registry, db: asyncpg.Connection, server: FeedServer
) -> None:
    url = server.url("/atom.xml")
    await follow(db, url)
    async with following(database, registry, queue_dsn="memory://") as domains:
        assert (await domains.result("refresh_single_feed", feed_url=url))["new_entries"] == 1
        await domains.idle()
    assert await db.fetchval("SELECT count(*) FROM indexed") == 1


async def test_no_job_is_enqueued_where_the_commit_fails(
    database: str, domains: Domains, db: asyncpg.Connection
) -> None:
    await db.execute("CREATE TABLE pairs (id INT UNIQUE DEFERRABLE INITIALLY DEFERRED)")

    async def enqueue_and_fail(pool: asyncpg.Pool) -> None:
        joined = transaction_with_jobs(pool, domains.queue, domains.settings)
        async with joined as (connection, jobs):
            jobs.append(refresh_job(domains.queue, 1, "http://127.0.0.1/"))
            await connection.execute("INSERT INTO pairs VALUES (1), (1)")

    async with asyncpg.create_pool(database, min_size=0, max_size=1) as pool:
        with pytest.raises(asyncpg.UniqueViolationError):
            await enqueue_and_fail(pool)
    assert await db.fetch("SELECT task FROM background_jobs") == []


async def test_a_feed_is_followed_read_and_left_over_http(
    processes: Processes, domains: Domains, server: FeedServer
) -> None:
    api = await asyncio.to_thread(start_api, processes)
    with api.client() as http:
        created = http.post("/api/v1/feeds", json={"url": server.url("/rss.xml#top")})
        assert created.status_code == 201, created.text
        feed = created.json()
        assert feed["url"] == server.url("/rss.xml")
        again = http.post("/api/v1/feeds", json={"url": server.url("/rss.xml")})
        assert again.status_code == 409
        await domains.ended(f"refresh-feed-{feed['id']}")
        await domains.idle()
        (listed,) = http.get("/api/v1/feeds").json()["items"]
        assert (listed["title"], listed["error"]) == ("The Harbour Gazette", None)

        entries = f"/api/v1/feeds/{feed['id']}/entries"
        first = http.get(entries, params={"limit": 2}).json()
        rest = http.get(entries, params={"limit": 2, "cursor": first["next_cursor"]}).json()
        titles = [entry["title"] for entry in first["items"] + rest["items"]]
        assert titles[0].startswith("Ferries & tides")
        assert (len(titles), rest["next_cursor"]) == (3, None)

        assert http.delete(f"/api/v1/feeds/{feed['id']}").status_code == 204
        assert http.get(entries).status_code == 404
        assert http.delete(f"/api/v1/feeds/{feed['id']}").status_code == 404


async def test_entries_of_a_feed_that_is_left_leave_the_index(
    database: str, registry: Registry, domains: Domains, db: asyncpg.Connection, server: FeedServer
) -> None:
    feed_id = await follow(db, server.url("/rss.xml"))
    await domains.result("refresh_single_feed", feed_url=server.url("/rss.xml"))
    await domains.idle()
    assert await db.fetchval("SELECT count(*) FROM indexed") == 3
    async with asyncpg.create_pool(database, min_size=0, max_size=1) as pool:
        await delete_feed.fn(feed_id, pool, domains.queue, domains.settings)
    await domains.idle()
    assert await db.fetchval("SELECT count(*) FROM indexed") == 0


def test_nothing_is_to_be_indexed_where_no_domain_searches() -> None:
    settings = settings_of(ProcessName.WORKER)(
        stage="local", database_url=SecretStr("postgresql:///none")
    )
    assert index_jobs(create_queue(settings, Registry()), [1, 2]) == []


async def test_a_feed_that_no_worker_of_the_stage_could_reach_is_refused_at_once(
    processes: Processes, domains: Domains
) -> None:
    api = await asyncio.to_thread(start_api, processes, INTERNET_PORTS="443")
    with api.client() as http:
        for url in ("http://example.com/rss", "https://example.com:8443/rss"):
            refused = http.post("/api/v1/feeds", json={"url": url})
            assert refused.status_code == 422, refused.text
            assert "reaches the ports 443 of the internet" in refused.text
        assert http.get("/api/v1/feeds").json()["items"] == []


pytest_plugins = ["tests.service.api.conftest_api"]


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/api/v1/feeds", {}, "url"),
        ("POST", "/api/v1/feeds", {"url": "ftp://example.com/rss"}, "url"),
        ("POST", "/api/v1/feeds", {"url": "https://example.com/\u00fc"}, "url"),
        ("POST", "/api/v1/feeds", {"url": "https://ada:secret@example.com/"}, "url"),
        ("POST", "/api/v1/feeds", {"url": "https://"}, "url"),
        ("POST", "/api/v1/feeds", {"url": "https://[::1"}, "url"),
        ("POST", "/api/v1/feeds", {"url": "https://example.com:port/"}, "url"),
        ("POST", "/api/v1/feeds", {"url": "https://example.com:65536/"}, "url"),
        ("POST", "/api/v1/feeds", {"url": "https://example.com/" + "a" * 2000}, "url"),
        ("POST", "/api/v1/feeds", {"url": "https://example.com/", "name": "x"}, "name"),
        ("GET", "/api/v1/feeds?limit=0", None, "limit"),
        ("GET", "/api/v1/feeds?cursor=x", None, "cursor"),
        ("GET", "/api/v1/feeds?offset=1", None, "offset"),
        ("GET", "/api/v1/feeds?limit=1&limit=2", None, "limit"),
        ("GET", "/api/v1/feeds/1/entries?offset=1", None, "offset"),
        ("GET", "/api/v1/feeds/0/entries", None, "feed_id"),
        ("DELETE", "/api/v1/feeds/99999999999999999999", None, "feed_id"),
    ],
)
def test_a_wrong_request_is_refused_with_the_name_of_its_field(
    http: httpx.Client, method: str, path: str, body: object, field: str
) -> None:
    answer = http.request(method, path, json=body)
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert http.get("/api/v1/feeds").json()["items"] == []


async def test_a_database_of_the_first_release_has_the_tables_already(empty_database: str) -> None:
    applied = await migrations_applied_over(empty_database)
    assert not [name for name in applied if name.startswith("domain/feeds/")]
