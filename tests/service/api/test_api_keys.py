"""The API key changes in a rolling restart of the API, and no caller is refused."""

import concurrent.futures

from tests.conftest import Processes
from tests.service.api.api_process import API_KEY, Api, start_api

pytest_plugins = ["tests.service.api.conftest_api"]

NEW_KEY = "another-key-of-thirty-two-letters"


def test_no_holder_of_either_key_is_refused_while_it_is_changed(
    guarded_api: Api, processes: Processes
) -> None:
    """During each rolling restart old and new processes run; both accept both keys."""
    both = start_api(processes, STAGE="prod", API_KEY=f"{API_KEY} {NEW_KEY}")
    new = start_api(processes, STAGE="prod", API_KEY=NEW_KEY)

    def statuses(api: Api, key: str) -> set[int]:
        def ask(number: int) -> int:
            name = ("X-API-Key", "Authorization")[number % 2]
            with api.client(**{name: key if number % 2 == 0 else f"Bearer {key}"}) as client:
                return client.get("/api/v1/tasks").status_code

        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            return set(threads.map(ask, range(20)))

    adding, finishing = (guarded_api, both), (both, new)
    assert [statuses(api, API_KEY) for api in adding] == [{200}, {200}]
    assert statuses(both, NEW_KEY) == {200}
    assert [statuses(api, NEW_KEY) for api in finishing] == [{200}, {200}]
    assert statuses(guarded_api, NEW_KEY) == {401}
    assert statuses(new, API_KEY) == {401}
    for third in (f"{API_KEY} {NEW_KEY}", API_KEY + NEW_KEY, NEW_KEY[:-1], ""):
        with both.client(**{"X-API-Key": third}) as client:
            assert client.get("/api/v1/tasks").status_code == 401
    for log in (both.log(), new.log()):
        assert API_KEY not in log
        assert NEW_KEY not in log
