"""Write an object of any size into S3 without ever holding all of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from service.aws import Bucket


class Upload:
    """An object on its way; of its bytes there is one part in memory at the most."""

    def __init__(self, bucket: Bucket, key: str, upload_id: str) -> None:
        self.bytes = 0
        self._bucket = bucket
        self._key = key
        self._id = upload_id
        self._waiting = bytearray()
        self._tags: list[str] = []

    async def write(self, piece: bytes) -> None:
        """Add to the object. Raises ConnectionError where S3 does not take it."""
        self.bytes += len(piece)
        self._waiting += piece
        while len(self._waiting) >= self._bucket.PART_BYTES:
            await self._send(bytes(self._waiting[: self._bucket.PART_BYTES]))
            del self._waiting[: self._bucket.PART_BYTES]

    async def finish(self) -> None:
        """Send what is left and make the object."""
        if self._waiting or not self._tags:
            await self._send(bytes(self._waiting))
        await asyncio.to_thread(self._bucket.finish_upload, self._key, self._id, self._tags)

    async def _send(self, part: bytes) -> None:
        number = len(self._tags) + 1
        send = self._bucket.upload_part
        self._tags.append(await asyncio.to_thread(send, self._key, self._id, number, part))


@asynccontextmanager
async def upload(bucket: Bucket, key: str, content_type: str) -> AsyncIterator[Upload]:
    """The object is there once the block has ended, whole; after an error in it there is none.

    Raises ConnectionError where S3 does not take it. A cancel, or an error, while S3 makes the
    object after the block may leave it, whole; one while the upload begins may leave that to the
    bucket's rule for unfinished ones.
    """
    upload_id = await asyncio.to_thread(bucket.start_upload, key, content_type)
    try:
        made = Upload(bucket, key, upload_id)
        yield made
        await made.finish()
    except BaseException:
        # What this cannot drop, a rule of the bucket does.
        with suppress(ConnectionError):
            await asyncio.shield(asyncio.to_thread(bucket.abort_upload, key, upload_id))
        raise
