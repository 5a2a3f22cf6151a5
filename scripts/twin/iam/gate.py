"""Checks every request before moto, which itself checks no credentials.

Only programs on this machine pass that sign with the twin's access key, or with a key of its STS or
IAM. A session of a role passes with what the role may do; other keys may do everything.
"""

import io
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler

from scripts.host.loopback import is_of_a_page, names_this_machine
from scripts.twin.iam.access_keys import Keys
from scripts.twin.iam.asked import prepare, read_call
from scripts.twin.iam.denial import code_and_text
from scripts.twin.iam.judge import Judge
from scripts.twin.iam.refusal import Answer, RefusedError, Why, answer, is_json, respond
from scripts.twin.iam.rights import needs
from scripts.twin.iam.role_sessions import Session
from scripts.twin.iam.signature import Received, Signed, check, service_of

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
HEADERS = "twin.headers"
# moto's own pages that AWS does not have: its state, which a request could delete, and metadata.
CLOSED = ("/moto-api", "/latest/meta-data/", "/latest/api/", "/favicon.ico")


class Handler(MotoRequestHandler):
    """Keeps the original headers, which are signed; WSGI joins and renames them."""

    def make_environ(self) -> dict[str, Any]:
        return {**super().make_environ(), HEADERS: self.headers}


class Gate:
    """The WSGI application around moto's, for a server on `port`. Without a judge, roles may do
    everything."""

    def __init__(
        self, application: Wsgi, keys: Keys, port: int, judge: Judge | None = None
    ) -> None:
        self._application, self._keys, self._port = application, keys, port
        self._judge = judge
        if judge is not None:
            prepare()

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if (refused := self._refusal(environ)) is None:
            return self._application(environ, start_response)
        status, headers, body = refused
        if environ["REQUEST_METHOD"] == "HEAD":
            body = b""
        start_response(f"{status} Refused", [*headers.items(), ("Content-Length", str(len(body)))])
        return [body]

    def _refusal(self, environ: dict[str, Any]) -> Answer | None:
        headers = environ[HEADERS]
        if environ["PATH_INFO"].startswith(CLOSED):
            return 404, {"Content-Type": "text/plain"}, b"The local twin has no such page.\n"
        request = Received(
            environ["REQUEST_METHOD"], environ["REQUEST_URI"], headers, lambda: _body(environ)
        )
        try:
            if not names_this_machine(environ.get("HTTP_HOST"), self._port) or is_of_a_page(
                headers, request.method
            ):
                raise RefusedError(Why.NOT_OURS)
            signed = check(request, self._keys)
        except RefusedError as error:
            return answer(error.why, service_of(headers, request.query), headers)
        session = self._judge.find(signed.key) if self._judge else None
        return self._denial(environ, session, signed) if session else None

    def _denial(self, environ: dict[str, Any], session: Session, signed: Signed) -> Answer | None:
        """AWS's answer where the session's role lacks a right. A call about which nothing is known
        passes."""
        assert self._judge is not None
        try:
            call = read_call(
                environ, lambda: _body(environ),
                service=signed.service, region=signed.region, account=session.account,
            )  # fmt: skip
            wanted = needs(call)
        except Exception as error:
            self._judge.leave_open(session, f"{signed.service}:?", repr(error))
            return None
        if wanted.not_judged:
            action = f"{call.prefix}:{call.operation}"
            self._judge.leave_open(session, action, wanted.not_judged)
            return None
        for right in (*wanted.direct, *wanted.implied):
            if (verdict := self._judge.refusal(session, right)) is not None:
                headers = environ[HEADERS]
                code, text = code_and_text(
                    session.arn, right, verdict, prefix=call.prefix,
                    named=call.params.get("SecretId"),
                    is_json=is_json(signed.service, headers),
                )  # fmt: skip
                return respond(
                    signed.service, headers, xml=(code, 403, text), in_json=(code, 400, text)
                )
        return None


def _body(environ: dict[str, Any]) -> bytes:
    """The whole body, which moto can read again."""
    if not isinstance(environ["wsgi.input"], io.BytesIO):
        is_chunked = environ.get("wsgi.input_terminated")
        size = -1 if is_chunked else int(environ.get("CONTENT_LENGTH") or 0)
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(size) if size else b"")
    found: bytes = environ["wsgi.input"].getvalue()
    return found
