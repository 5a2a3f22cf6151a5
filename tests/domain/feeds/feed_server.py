"""A web server with real feeds, which can also behave like a broken server."""

import gzip
import ssl
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FILES = Path(__file__).parent / "samples"
ETAG = '"v1"'
LIMIT = 300_000  # of a fetcher in the tests, in bytes


@dataclass
class FeedServer:
    """Listens on `host`; `seen` has the path and headers of each request."""

    host: str = "127.0.0.1"
    context: ssl.SSLContext | None = None
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    locations: dict[str, str] = field(default_factory=dict)  # path → where it redirects to
    bodies: dict[str, bytes] = field(default_factory=dict)  # path → an answer of the test's own
    headers: dict[str, dict[str, str]] = field(default_factory=dict)  # path → its headers
    etag: str = ETAG  # of /conditional.xml
    sent: int = 0  # bytes of the endless answer

    def __post_init__(self) -> None:
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served.seen.append((self.path, dict(self.headers)))
                try:
                    served.answer(self)
                except OSError:
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None: ...

        self.server = ThreadingHTTPServer((self.host, 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda request, client: None  # type: ignore[method-assign, assignment]
        if self.context:
            self.server.socket = self.context.wrap_socket(self.server.socket, server_side=True)
        self.ended = threading.Event()
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, path: str, *, host: str = "") -> str:
        scheme = "https" if self.context else "http"
        return f"{scheme}://{host or self.host}:{self.server.server_port}{path}"

    def close(self) -> None:
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()

    def answer(self, to: BaseHTTPRequestHandler) -> None:
        path = to.path
        if path in ("/endless.xml", "/slow.xml", "/trailing.xml"):
            self._go_on(to)
        elif path in self.locations:
            self._send(to, 302, b"", Location=self.locations[path])
        elif path in self.bodies:
            self._send(to, 200, self.bodies[path], **self.headers.get(path, {}))
        elif path == "/conditional.xml" and to.headers.get("If-None-Match") == self.etag:
            self._send(to, 304, b"")
        elif path == "/conditional.xml":
            self._send(to, 200, (FILES / "rss.xml").read_bytes(), ETag=self.etag)
        elif path == "/page.html":
            self._send(to, 200, b"<!DOCTYPE html><html><body><h1>Hello</h1></body></html>")
        elif path == "/packed.xml":
            self._send_packed(to, (FILES / "rss.xml").read_bytes())
        elif path == "/bomb.xml":
            self._send_packed(to, b" " * 100 * LIMIT)
        elif path == "/cut.xml":
            self._send(to, 200, b"<rss><channel>", **{"Content-Length": "5000"})
        elif path == "/down.xml":
            self._send(to, 503, b"come back later")
        elif (file := FILES / path[1:]).is_file():
            # many servers send this for any file, whatever its encoding
            self._send(to, 200, file.read_bytes(), **{"Content-Type": "text/xml"})
        else:
            self._send(to, 404, b"not here")

    def _send_packed(self, to: BaseHTTPRequestHandler, body: bytes) -> None:
        packed = gzip.compress(body)
        assert len(packed) < LIMIT
        self._send(to, 200, packed, **{"Content-Encoding": "gzip"})

    def _send(self, to: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
        to.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            to.send_header(name, value)
        to.end_headers()
        to.wfile.write(body)

    def _go_on(self, to: BaseHTTPRequestHandler) -> None:
        to.send_response(200)
        if to.path == "/trailing.xml":
            to.send_header("Content-Encoding", "gzip")
        to.end_headers()
        if to.path == "/trailing.xml":
            to.wfile.write(gzip.compress((FILES / "rss.xml").read_bytes()))
        piece = b"<rss>" if to.path == "/slow.xml" else b"<rss>" * 2000
        while not self.ended.is_set():
            to.wfile.write(piece)
            self.sent += len(piece)
            if to.path == "/slow.xml":
                time.sleep(0.2)
