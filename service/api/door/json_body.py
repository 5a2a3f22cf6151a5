"""Reads a request's body: JSON of the handler's type, without conversions."""

from typing import Any

import msgspec
from litestar import Request
from litestar.exceptions import ClientException, HTTPException, SerializationException
from litestar.serialization import decode_json

from service.contract import BODY_MAX_BYTES
from service.problem import InvalidFieldError, field_problem
from service.redact import without_secrets
from service.validation import MAX_DEPTH, explain, refuse_unstorable


class JsonRequest(Request[Any, Any, Any]):
    """A request whose JSON body is decoded strictly into the type of the handler's `data`.

    Litestar itself reads any content type as JSON, and converts `"5"` to 5 for a number.
    """

    async def body(self) -> bytes:
        body = await super().body()
        wanted = self.route_handler.parsed_data_field
        if not body and wanted is not None and not wanted.is_optional:
            raise ClientException("The request needs a JSON body.")
        return body

    async def json(self) -> Any:
        self._check_headers()
        body = await self.body()
        wanted = self.route_handler.parsed_data_field
        try:
            # Only few bodies can hold what is refused here; the others are not walked through.
            if b"\\u0000" in body or body.count(b"[") + body.count(b"{") > MAX_DEPTH:
                refuse_unstorable(msgspec.json.decode(body))
            return self._decoded(body, Any if wanted is None else wanted.annotation)
        except SerializationException as error:
            cause = error.__cause__
            raise ClientException(f"The body is not JSON: {cause or error}.") from None
        except RecursionError:
            message = f"The body is nested more than {MAX_DEPTH} levels deep."
            raise ClientException(message) from None
        except UnicodeDecodeError:
            raise ClientException("The body is not UTF-8.") from None
        except msgspec.DecodeError as error:
            raise ClientException(f"The body is not JSON: {error}.") from None
        except ValueError as error:  # Python's limit on the digits of an integer
            raise ClientException(f"The body cannot be read: {error}") from None

    def _decoded(self, body: bytes, kind: Any) -> Any:
        try:
            decoders = self.route_handler.resolve_type_decoders()
            return decode_json(body, target_type=kind, type_decoders=decoders)
        except SerializationException as error:
            if not isinstance(error.__cause__, msgspec.ValidationError):
                raise
            found = _invalid_field(error.__cause__, kind)
        message = found.message
        if len(body) <= BODY_MAX_BYTES:  # a larger one is a job's, whose payload may be anything
            # Raises where the body is no JSON further on.
            message = without_secrets(message, msgspec.json.decode(body))
        raise InvalidFieldError(found.field, message)

    def _check_headers(self) -> None:
        media_type, _ = self.content_type
        if media_type != "application/json" and not media_type.endswith("+json"):
            raise HTTPException(
                "Send the body as Content-Type: application/json.",
                status_code=415,
                headers={"Accept": "application/json"},
            )
        if self.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise HTTPException(
                "Send the body without Content-Encoding.",
                status_code=415,
                headers={"Accept-Encoding": "identity"},
            )


def _invalid_field(error: msgspec.ValidationError, kind: Any) -> InvalidFieldError:
    """The error for the first wrong field."""
    if found := getattr(error, "errors", None):  # of a pydantic model
        return InvalidFieldError(".".join(map(str, found[0]["loc"])) or "body", found[0]["msg"])
    reason, _, path = str(error).partition(" - at `")
    path = path.removesuffix("`").removeprefix("$").removeprefix(".")
    field = field_problem(explain(reason, path, kind), path)
    return InvalidFieldError(field.field, field.message)
