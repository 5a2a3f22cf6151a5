"""A trace of a request, its job, each attempt and the child job, as a collector receives it."""

import json
import threading
import time

from tests.conftest import Processes, exit_status, until
from tests.service.api.api_process import start_api
from tests.service.conftest import Ledger
from tests.service.telemetry.receiver import Receiver, receiving

SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5  # OTLP's numbers of a span's kind
ERROR = 2
OURS = {"worker", "job", "queue"}
SECRET = "pa55-of-nobody"


def environment(receiver: Receiver) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "METRIC_SECONDS": "1",
    }


async def test_one_trace_from_the_request_to_the_child_job(
    processes: Processes, ledger: Ledger
) -> None:
    with receiving() as receiver:
        worker = processes.start("worker", LOG_FORMAT="json", **environment(receiver))
        api = start_api(processes, **environment(receiver))
        caller = "0af7651916cd43dd8448eb211c80319c"
        with api.client(traceparent=f"00-{caller}-b7ad6b7169203331-01") as client:
            client.get("/health/ready")
            payload = {"address": receiver.url, "password": SECRET}
            answer = client.post("/api/v1/jobs", json={"task": "hand_on", "payload": payload})
        key = answer.json()["job_id"]
        (child,) = receiver.wait_for("process sleep")
        assert receiver.wait_for_metric("WorkersAlive")
        (labels, _), *_ = receiver.wait_for_metric("JobsFinished")
        assert labels == {"App": "moorage", "Stage": "local", "Queue": "default"}
        worker.terminate()
        assert await exit_status(worker, 30) == 0
        (request,) = receiver.wait_for("POST /api/v1/jobs")
        (sent,) = receiver.wait_for("send hand_on")
        first, second = sorted(receiver.wait_for("process hand_on", 2), key=lambda each: each.began)
        (query,) = receiver.wait_for("SELECT")
        (call,) = receiver.wait_for("GET")
        (sent_child,) = receiver.wait_for("send sleep")

        spans = [request, sent, first, second, query, call, sent_child, child]
        assert {each.trace_id for each in receiver.spans} == {caller}  # and nothing of the queue's
        kinds = [SERVER, PRODUCER, CONSUMER, CONSUMER, CLIENT, CLIENT, PRODUCER, CONSUMER]
        assert [each.kind for each in spans] == kinds
        parents = [
            "b7ad6b7169203331", request.span_id, sent.span_id, sent.span_id,
            second.span_id, second.span_id, second.span_id, sent_child.span_id,
        ]  # fmt: skip
        assert [each.parent_id for each in spans] == parents
        assert [each.status for each in spans] == [0, 0, ERROR, 0, 0, 0, 0, 0]
        assert request.began <= sent.began < first.began < first.ended
        assert first.ended <= second.began <= query.began <= call.began <= sent_child.began

        assert request.attributes["http.response.status_code"] == 202
        assert sent.attributes == {
            "messaging.system": "moorage",
            "messaging.operation.type": "send",
            "messaging.operation.name": "send",
            "messaging.destination.name": "default",
            "messaging.message.id": key,
            "moorage.task": "hand_on",
        }
        about = first.attributes
        assert about["messaging.operation.type"] == "process"
        assert (about["messaging.message.id"], about["moorage.attempt"]) == (key, 1)
        assert (about["moorage.outcome"], about["error.type"]) == ("retried", "ValueError")
        assert second.attributes["moorage.outcome"] == "complete"
        assert query.attributes["db.query.text"].endswith("event = ?")
        assert call.attributes["url.full"] == f"{receiver.url}?access_token=[hidden]"
        assert {request.service, first.service} == {"moorage-api", "moorage-worker"}

        assert not any(SECRET.encode() in body for body in receiver.bodies)

        lines = [json.loads(line) for line in processes.log(worker).splitlines() if "{" in line]
        of_job = [line for line in lines if line.get("job_key") == key]
        assert [line["trace_id"] for line in of_job] == [caller] * len(of_job)
        assert {line["span_id"] for line in of_job} == {first.span_id, second.span_id}
        (asked,) = [json.loads(line) for line in api.log().splitlines() if '"path"' in line]
        assert (asked["trace_id"], asked["span_id"]) == (caller, request.span_id)


async def test_a_collector_that_hangs_holds_up_neither_job_nor_request_nor_stop(
    processes: Processes, ledger: Ledger
) -> None:
    with receiving(threading.Event()) as receiver:
        given = environment(receiver) | {"OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
        worker = processes.start("worker", LOG_FORMAT="json", **given)
        api = start_api(processes, **environment(receiver))
        with api.client() as client:
            for _ in range(3):
                began = time.monotonic()
                body = {"task": "sleep", "payload": {"seconds": 0}}
                key = client.post("/api/v1/jobs", json=body).json()["job_id"]
                assert time.monotonic() - began < 2
        await ledger.until_status(key, "complete")
        await until(lambda: "spans could not be sent" in processes.log(worker), what="its line")
        assert receiver.requests
        began = time.monotonic()
        worker.terminate()
        api.process.terminate()
        assert await exit_status(worker, 30) == 0
        assert await exit_status(api.process, 30) == 0
        assert time.monotonic() - began < 8
        lines = [json.loads(line) for line in processes.log(worker).splitlines() if "{" in line]
        others = [line for line in lines if line.get("logger") not in OURS and "_aws" not in line]
        assert {line["to"] for line in others} == {receiver.url}
        assert sorted(line["event"] for line in others) in (
            ["spans could not be sent"],
            ["metrics could not be sent", "spans could not be sent"],
        )
