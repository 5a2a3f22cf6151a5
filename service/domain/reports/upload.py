"""Writes an object of any size into S3, with only one part of it in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from service.aws import Bucket


class Upload:
    """An object that is being uploaded; at most one part of it is in memory."""

    def __init__(self, bucket: Bucket, key: str, upload_id: str) -> None:
        self.bytes = 0
        self._bucket = bucket
        self._key = key
        self._id = upload_id
        self._waiting = bytearray()
        self._tags: list[str] = []

    async def write(self, piece: bytes) -> None:
        """Add to the object. Raises `ConnectionError` where S3 refuses or does not answer."""
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
    """Upload an object. It exists after the block, but not after an error in the block.

    Raises `ConnectionError` where S3 refuses or does not answer. A cancellation or error after the
    block, while S3 makes the object, may leave it, complete. One at the beginning may leave an
    unfinished upload, which a lifecycle rule of the bucket deletes.
    """
    upload_id = await asyncio.to_thread(bucket.start_upload, key, content_type)
    try:
        made = Upload(bucket, key, upload_id)
        yield made
        await made.finish()
    except BaseException:
        # Parts that this cannot delete, a lifecycle rule of the bucket deletes.
        with suppress(ConnectionError):
            await asyncio.shield(asyncio.to_thread(bucket.abort_upload, key, upload_id))
        raise
