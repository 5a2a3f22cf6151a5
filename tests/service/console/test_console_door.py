"""Who gets into the console: links, the sign-in page, sessions, roles."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from playwright.async_api import Browser, expect

from tests.service.api.api_process import API_KEY, UI_LOGIN, Api, start_api

pytest_plugins = ["tests.service.api.conftest_api"]

PAGES = ("/", "/jobs", "/jobs/some-key", "/schedules", "/tasks", "/audit", "/live")
BROWSER = {"Accept": "text/html,application/xhtml+xml"}


def link(api: Api, who: str = "alice", *, may_act: bool = True) -> str:
    with api.client() as client:
        answer = client.post(
            "/api/v1/console/links",
            json={"who": who, "may_act": may_act},
            headers={"X-API-Key": API_KEY},
        )
    assert answer.status_code == 201, answer.text
    assert answer.json()["seconds"] == 60
    path: str = answer.json()["path"]
    return path


def enter(client: httpx.Client, path: str) -> httpx.Response:
    """Open a link, and press its button."""
    assert client.get(path).status_code == 200
    return client.post(path)


def visitor(api: Api) -> httpx.Client:
    """Somebody with a browser, who is not signed in."""
    return api.client(**BROWSER)


def test_a_link_signs_in_once(guarded_api: Api) -> None:
    path = link(guarded_api)
    with visitor(guarded_api) as first, visitor(guarded_api) as second:
        assert first.head(path).status_code == 200, "a preview does not use it up"
        opened = enter(first, path)
        assert opened.status_code == 303
        cookie = opened.headers["Set-Cookie"]
        assert cookie.startswith("console=")
        assert "; Max-Age=43200; Path=/; HttpOnly; SameSite=Strict" in cookie
        assert "Secure" not in cookie
        assert "alice" in first.get("/console/").text

        again = second.post(path)
        assert again.status_code == 403
        assert "was used before" in again.text
        assert "Set-Cookie" not in again.headers
        assert second.get("/console/").status_code == 303


def test_over_https_the_cookie_is_secure_and_of_this_host_alone(guarded_api: Api) -> None:
    path = link(guarded_api)
    with guarded_api.client(**{"X-Forwarded-Proto": "https"}) as client:
        cookie = client.post(path).headers["Set-Cookie"]
    assert cookie.startswith("__Host-console=")
    assert cookie.endswith("; Secure")


def test_a_link_older_than_a_minute_does_nothing(guarded_api: Api) -> None:
    path = link(guarded_api)
    guarded_api.sql("UPDATE console_sessions SET expires_at = clock_timestamp() WHERE is_link")
    with visitor(guarded_api) as client:
        assert client.post(path).status_code == 403


def test_a_link_is_no_session_and_a_session_no_link(guarded_api: Api) -> None:
    token = link(guarded_api).rpartition("/")[2]
    with visitor(guarded_api) as client:
        client.cookies.set("console", token)
        assert client.get("/console/").status_code == 303
        client.cookies.clear()
        cookie = client.post(f"/console/open/{token}").cookies["console"]
        assert client.post(f"/console/open/{cookie}").status_code == 403


def test_only_the_api_key_makes_links(guarded_api: Api) -> None:
    with visitor(guarded_api) as client:
        enter(client, link(guarded_api))
        answer = client.post("/api/v1/console/links", json={"who": "mallory"})
    assert answer.status_code == 401


@pytest.mark.parametrize("page", PAGES)
def test_without_a_session_every_page_asks_to_sign_in(guarded_api: Api, page: str) -> None:
    with visitor(guarded_api) as client:
        answer = client.get(f"/console{page}?status=failed")
        assert answer.status_code == 303
        place = answer.headers["Location"]
        assert place.startswith("/console/sign-in?to=%2Fconsole")
        assert client.get(place).status_code == 200
        assert client.get(f"/console{page}", headers={"Accept": "*/*"}).status_code == 401


def test_the_sign_in_page_leads_back_and_only_into_the_console(guarded_api: Api) -> None:
    user, password = UI_LOGIN
    right = {"username": user, "password": password}
    with visitor(guarded_api) as client:
        for given in (
            {"username": user, "password": "wrong"},
            {"username": "else", "password": password},
            {"username": "", "password": ""},
            {"username": "ü" * 10, "password": "\N{SNOWMAN}"},
        ):
            refused = client.post("/console/sign-in", data=given)
            assert refused.status_code == 403
            assert "Name or password is wrong." in refused.text
        for to, place in (
            ("/console/jobs?status=failed", "/console/jobs?status=failed"),
            ("", "/console/"),
            ("//evil.example/console/", "/console/"),
            ("https://evil.example/", "/console/"),
            ("/console/\\evil", "/console/"),
            ("/console/\r\nSet-Cookie: a=b", "/console/"),
        ):
            answer = client.post("/console/sign-in", data=right | {"to": to})
            assert answer.status_code == 303
            assert answer.headers["Location"] == place
        assert user in client.get("/console/audit").text
    assert "wrong credentials" in guarded_api.log_with('"scheme":"console"')


def test_signing_out_ends_the_session_wherever_its_cookie_is(guarded_api: Api) -> None:
    with visitor(guarded_api) as client, visitor(guarded_api) as thief:
        enter(client, link(guarded_api))
        thief.cookies.set("console", client.cookies["console"])
        assert thief.get("/console/").status_code == 200
        answer = client.post("/console/sign-out")
        assert answer.status_code == 303
        assert "Max-Age=0" in answer.headers["Set-Cookie"]
        assert thief.get("/console/").status_code == 303


def test_a_session_ends_after_its_time(guarded_api: Api) -> None:
    with visitor(guarded_api) as client:
        enter(client, link(guarded_api))
        guarded_api.sql("UPDATE console_sessions SET expires_at = clock_timestamp()")
        assert client.get("/console/").status_code == 303


def test_nothing_that_signs_in_is_kept_or_logged(guarded_api: Api) -> None:
    token = link(guarded_api).rpartition("/")[2]
    with visitor(guarded_api) as client:
        cookie = client.post(f"/console/open/{token}").cookies["console"]
        client.get("/console/")
    kept = str(guarded_api.sql("SELECT * FROM console_sessions"))
    for secret in (token, cookie):
        assert secret not in kept
    assert cookie not in guarded_api.log()


def test_other_sites_cannot_sign_in_or_out(guarded_api: Api) -> None:
    user, password = UI_LOGIN
    with visitor(guarded_api) as client:
        for path in ("sign-in", "sign-out"):
            answer = client.post(
                f"/console/{path}",
                data={"username": user, "password": password},
                headers={"Origin": "https://evil.example"},
            )
            assert answer.status_code == 403


def test_pages_run_and_load_nothing_that_is_not_ours(guarded_api: Api) -> None:
    with visitor(guarded_api) as client:
        enter(client, link(guarded_api))
        for path in ("/", "/jobs", "/sign-in", "/jobs/missing"):
            policy = client.get(f"/console{path}").headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy


def test_on_a_laptop_without_credentials_the_console_is_as_open_as_the_api(
    http: httpx.Client,
) -> None:
    assert "somebody on this machine" in http.get("/console/").text
    # a page that points a name of its own at this machine
    assert http.get("/console/", headers={"Host": "evil.example"}).status_code == 403


def test_people_have_a_password_of_their_own_and_a_role(guarded_api: Api) -> None:
    with guarded_api.client(**{"X-API-Key": API_KEY}) as api, visitor(guarded_api) as client:
        made = api.post("/api/v1/console/people", json={"name": "ada"})
        assert made.status_code == 201
        password = made.json()["password"]
        assert api.post("/api/v1/console/people", json={"name": "ada"}).status_code == 409
        assert api.post("/api/v1/console/people", json={"name": "a b"}).status_code == 422
        assert [each["name"] for each in api.get("/api/v1/console/people").json()["items"]] == [
            "ada"
        ]

        wrong = client.post("/console/sign-in", data={"username": "ada", "password": "x"})
        assert wrong.status_code == 403
        right = client.post("/console/sign-in", data={"username": "ada", "password": password})
        assert right.status_code == 303
        assert "ada (looking only)" in client.get("/console/").text
        assert client.post("/console/queues/default/pause").status_code == 403
        kept = str(guarded_api.sql("SELECT * FROM console_people"))
        assert password not in kept

        assert api.delete("/api/v1/console/people/ada").json() == {"items": []}
        assert client.get("/console/").status_code == 303, "her session has ended"
        again = client.post("/console/sign-in", data={"username": "ada", "password": password})
        assert again.status_code == 403
        assert api.delete("/api/v1/console/people/ada").status_code == 404
        assert password not in guarded_api.log()


def test_an_open_api_opens_no_console_to_others(guarded_api: Api) -> None:
    """`API_AUTH=off` is for who stands behind something else that asks for credentials."""
    user, password = UI_LOGIN
    processes = guarded_api.processes
    api = start_api(processes, STAGE="prod", API_AUTH="off", UI_USERNAME=user, UI_PASSWORD=password)
    with visitor(api) as client:
        assert client.get("/api/v1/tasks").status_code == 200
        assert client.get("/console/").status_code == 303
        for path in ("links", "people"):
            made = client.post(f"/api/v1/console/{path}", json={"who": "mallory", "name": "m"})
            assert made.status_code == 401


def test_what_no_name_can_be_is_wrong_and_no_error(guarded_api: Api) -> None:
    with visitor(guarded_api) as client:
        wrong = client.post("/console/sign-in", data={"username": "a\0", "password": "b\0"})
    assert wrong.status_code == 403


def test_many_wrong_passwords_at_once_are_turned_away(guarded_api: Api) -> None:
    given = {"username": "nobody", "password": "wrong"}
    with visitor(guarded_api) as client, ThreadPoolExecutor(60) as threads:
        answers = threads.map(lambda _: client.post("/console/sign-in", data=given), range(60))
        found = Counter(answer.status_code for answer in answers)
    assert set(found) == {403, 503}
    assert found[403] >= 20


@pytest.mark.asyncio(loop_scope="module")
async def test_a_browser_that_opens_a_link_is_in(browser: Browser, guarded_api: Api) -> None:
    page = await browser.new_page(base_url=guarded_api.url)
    await page.goto(link(guarded_api, "barbara"))
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    await expect(page.get_by_text("barbara")).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await page.context.close()
