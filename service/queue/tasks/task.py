"""A task: a function with the type of its payload, and how its jobs run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from service import contract
from service.queue.cron import Timing
from service.queue.errors import InvalidPayloadError, PayloadTooLargeError
from service.queue.tasks.payload import UNSTORABLE, is_flat, not_finite, unstorable
from service.redact import HIDDEN, copied, without_secrets
from service.validation import explain

TaskFunction = Callable[..., Any]

TIMEOUT_SECONDS = 60
ATTEMPTS = 3
AS_HIDDEN = f'"{HIDDEN}"'.encode()
BACKOFF_BASE_SECONDS = 1.0
BACKOFF_MAX_SECONDS = 300.0
TTL_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Schedule:
    """When a task ticks, and whether a tick is skipped while the job of the one before is live."""

    timing: Timing
    is_unique: bool = False


@dataclass(frozen=True, kw_only=True)
class Task:
    """A registered function, and the default options of its jobs."""

    name: str
    function: TaskFunction
    payload_type: type[msgspec.Struct]
    queue: str = contract.QUEUE_NAME
    aliases: tuple[str, ...] = ()  # former names, for jobs that were queued under them
    timeout: int = TIMEOUT_SECONDS  # seconds for one attempt; 0: no limit
    retries: int = ATTEMPTS  # the most attempts a job gets, as SAQ counts them; 0 means one, too
    retry_delay: float = BACKOFF_BASE_SECONDS  # seconds before the second attempt
    backoff: bool | float = BACKOFF_MAX_SECONDS  # later delays double, up to so many seconds
    heartbeat: int = 0  # seconds a job may run without reporting progress; 0: no limit
    ttl: int = TTL_SECONDS  # seconds the ended job is kept; 0: for ever, -1: not at all
    priority: int = 0  # lower runs first
    schedule: Schedule | None = None
    source: str = ""  # file:line
    is_async: bool = True

    @cached_property
    def is_flat(self) -> bool:
        """Are all fields of the payload scalars? Checking those takes a third of the time."""
        return is_flat(self.payload_type)

    def encode(self, payload: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
        """Check `payload` against the annotations. Returns it JSON-safe, and its size in bytes.

        `decode` gives back the same values. Raises `InvalidPayloadError` with the field's path, and
        `PayloadTooLargeError` over 5 MiB.
        """
        struct = self._convert(payload, str_keys=not self.is_flat)
        try:
            encoded = self._encoded(struct)
            as_json = msgspec.json.encode(encoded)
        except UNSTORABLE:
            raise self._unstorable(struct) from None
        # JSON has no NaN and no infinity: msgspec writes them as null
        if b"null" in as_json and (found := not_finite(encoded, "payload")):
            path, value = found
            raise InvalidPayloadError(self.name, path, f"is {value}, which JSON cannot hold")
        if AS_HIDDEN in as_json and (field := copied(encoded)):
            raise InvalidPayloadError(
                self.name, field, f"is {HIDDEN}, as it is shown: send the value itself"
            )
        if not self.is_flat:
            try:  # an error has to show now, not in the worker
                msgspec.json.decode(as_json, type=self.payload_type)
            except msgspec.ValidationError as error:
                raise InvalidPayloadError(
                    self.name, "payload",
                    without_secrets(f"does not survive JSON: {error}", payload),
                ) from None  # fmt: skip
        size = len(as_json)
        if size > contract.LARGE_PAYLOAD_MAX_BYTES:
            raise PayloadTooLargeError(
                self.name,
                "payload",
                f"{size} bytes as JSON, the limit is {contract.LARGE_PAYLOAD_MAX_BYTES}; "
                "put large things into S3 and send their key",
            )
        return encoded, size

    def decode(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The keyword arguments for the function, in the annotated types.

        Raises `InvalidPayloadError` where another release has enqueued another payload.
        """
        return msgspec.structs.asdict(self._convert(payload, str_keys=not self.is_flat))

    def _encoded(self, struct: msgspec.Struct) -> dict[str, Any]:
        if self.is_flat:
            return msgspec.to_builtins(struct)  # type: ignore[no-any-return]
        return msgspec.to_builtins(struct, str_keys=True)  # type: ignore[no-any-return]

    def _unstorable(self, struct: msgspec.Struct) -> InvalidPayloadError:
        """The error that names the field without a JSON form."""
        for name in struct.__struct_fields__:
            try:
                msgspec.json.encode(msgspec.to_builtins(getattr(struct, name), str_keys=True))
            except UNSTORABLE as error:
                return InvalidPayloadError(self.name, f"payload.{name}", unstorable(error))
        return InvalidPayloadError(self.name, "payload", "cannot be stored as JSON")

    def _convert(self, payload: Mapping[str, Any], *, str_keys: bool = False) -> msgspec.Struct:
        try:
            if str_keys:  # for mappings in the payload; it takes msgspec three times as long
                return msgspec.convert(payload, self.payload_type, str_keys=True)
            return msgspec.convert(payload, self.payload_type)
        except msgspec.ValidationError as error:
            reason, _, path = str(error).partition(" - at `$.")
            path = path.rstrip("`")
            raise InvalidPayloadError(
                self.name,
                f"payload.{path}" if path else "payload",
                without_secrets(explain(reason, path, self.payload_type), payload),
            ) from None
