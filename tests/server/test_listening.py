"""Connections of the page send what they have at once."""

import asyncio
import socket

from mlx_aimv2.server.process.serve import listen


def test_no_answer_waits_for_an_acknowledgement() -> None:
    """With Nagle's algorithm each answer's body came 40 ms after its head."""
    found: list[int] = []

    class Seen(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted = transport.get_extra_info("socket")
            found.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    async def main() -> None:
        with listen(0) as listener:
            server = await asyncio.get_running_loop().create_server(Seen, sock=listener)
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            await reader.read()
            writer.close()
            server.close()
            await server.wait_closed()

    asyncio.run(main())
    assert found[0]
