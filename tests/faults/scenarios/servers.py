"""Servers that are not who they should be: `sslmode=verify-full` refuses each of them."""

import asyncio

from service.db import UNAVAILABLE
from tests.faults.arena import Arena
from tests.faults.engines import Ours
from tests.faults.tls import DAY, NOW, Authority, TlsFront

HOST = "localhost"


async def wrong_servers(arena: Arena) -> None:
    """Plain text, another authority, another host, an expired certificate, TLS 1.1; then right."""
    folder = arena.fleet.folder
    ours, other = Authority(folder, "ours"), Authority(folder, "other")
    good = ours.certificate(HOST)
    upstream = ("127.0.0.1", arena.server.port)
    fronts = {
        "plain text": TlsFront(upstream, None),
        "another authority": TlsFront(upstream, other.certificate(HOST)),
        "another host": TlsFront(upstream, ours.certificate("elsewhere.example")),
        "expired": TlsFront(upstream, ours.certificate(HOST, ends=NOW - DAY)),
        "TLS 1.1": TlsFront(upstream, good, old=True),
        "right": TlsFront(upstream, good),
    }
    accepted = []
    for name, front in fronts.items():
        async with front as port:
            client = Ours(
                f"postgresql://postgres@{HOST}:{port}/{arena.database_name}"
                f"?sslmode=verify-full&sslrootcert={ours.file}"
            )
            await client.open()
            try:
                async with asyncio.timeout(30):
                    arena.acknowledged.add(str(await client.enqueue("work")))
                accepted.append(name)
            except UNAVAILABLE:
                pass
            await client.close()
    assert "right" in accepted, "the right server is accepted"
    arena.hold("accepted", len(accepted) - 1)
    spoken = {name: front.spoken for name, front in fronts.items() if name != "right"}
    arena.hold("spoke_before_trust", sum(spoken.values()))
    await arena.start_workers()
    await arena.at_rest(10)
