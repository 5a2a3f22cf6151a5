"""A server that stands before moto as IAM stands before AWS: it lets through what is allowed, and
answers the rest as AWS does, in the words and the form of the protocol that was spoken."""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import httpx

from scripts.aws_errors import PREFIXES

CALLER = "arn:aws:sts::123456789012:assumed-role/operator/ann"
# The services by the name that signatures have.
SIGNED = {"monitoring": "cloudwatch"}
XML = "text/xml"
Parameters = Mapping[str, list[str]]
# The status and the XML in answer to what was asked.
Answer = Callable[[Parameters], tuple[int, str]]


class Gate:
    """`allowed` are IAM's actions, None for all; `asked` is what came, allowed or not."""

    def __init__(self, url: str, behind: str) -> None:
        self.url = url
        self.behind = behind
        self.allowed: set[str] | None = None
        self.refused: set[str] = set()
        self.asked: list[str] = []
        self.answers: dict[str, Answer] = {}
        self.simulated: list[Parameters] = []
        self.words = (
            "User: {caller} is not authorized to perform: {action} on resource: {resource} "
        )
        self.words += "because no identity-based policy allows the {action} action"

    def lets(self, action: str) -> bool:
        return action not in self.refused and (self.allowed is None or action in self.allowed)

    def refusal(self, action: str) -> str:
        return (
            f"User: {CALLER} is not authorized to perform: {action} on resource: arn:aws:x:::y "
            f"because no identity-based policy allows the {action} action"
        )


@contextmanager
def gate(behind: str) -> Iterator[Gate]:
    """Before the moto at that address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            action, form = _read(self, body)
            open_gate.asked.append(action)
            if not open_gate.lets(action):
                return self._answer(*_refusal(action, open_gate.refusal(action), form))
            if found := open_gate.answers.get(action):
                status, text = found(parse_qs(body.decode()))
                return self._answer(status, text.encode(), XML)
            headers = {k: v for k, v in self.headers.items() if k.lower() != "content-length"}
            real = httpx.post(f"{behind}{self.path}", content=body, headers=headers, timeout=30)
            return self._answer(real.status_code, real.content, real.headers["content-type"])

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if kind == "application/cbor":
                self.send_header("smithy-protocol", "rpc-v2-cbor")
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        open_gate = Gate(f"http://localhost:{server.server_port}", behind)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield open_gate
        finally:
            server.shutdown()
            thread.join()


def _read(request: BaseHTTPRequestHandler, body: bytes) -> tuple[str, str]:
    """IAM's action that is asked for, and the protocol."""
    scope = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", request.headers["Authorization"])
    assert scope, dict(request.headers)
    service = SIGNED.get(scope[1], scope[1])
    service = PREFIXES.get(service, service)
    if target := request.headers.get("X-Amz-Target"):
        return f"{service}:{target.rpartition('.')[2]}", "json"
    if found := re.search(r"/operation/(\w+)$", request.path):
        return f"{service}:{found[1]}", "cbor"
    return f"{service}:{parse_qs(body.decode())['Action'][0]}", "ec2" if service == "ec2" else "xml"


def _refusal(action: str, words: str, form: str) -> tuple[int, bytes, str]:
    if form == "json":
        body = {"__type": "AccessDeniedException", "message": words}
        return 400, json.dumps(body).encode(), "application/x-amz-json-1.1"
    if form == "cbor":
        pairs = {"__type": "com.amazonaws.cloudwatch#AccessDenied", "message": words}
        texts = [_cbor(each) for pair in pairs.items() for each in pair]
        return 400, bytes([0xA0 + len(pairs)]) + b"".join(texts), "application/cbor"
    if form == "ec2":
        error = f"<Error><Code>UnauthorizedOperation</Code><Message>{words}</Message></Error>"
        return 403, f"<Response><Errors>{error}</Errors></Response>".encode(), XML
    error = f"<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>{words}</Message></Error>"
    return 403, f"<ErrorResponse>{error}</ErrorResponse>".encode(), XML


def _cbor(text: str) -> bytes:
    """A text of CBOR (RFC 8949), with its length in two bytes."""
    data = text.encode()
    return b"\x79" + len(data).to_bytes(2, "big") + data
