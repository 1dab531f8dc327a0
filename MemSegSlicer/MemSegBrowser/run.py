"""The application from start to end: server up, image open, Ctrl-C, everything let go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from trame_server import Server

from memseg import catalog
from memseg.errors import FileError

from .server import Transfers, bind, free_port, serve

logger = logging.getLogger(__name__)


def run(
    image: Path | None, host: str, port: int, model: str | None, device: str, announce: Callable[[str], None]
) -> None:
    """Serve until Ctrl-C. image: None opens the bundled one. announce: gets the address once it answers.

    Raises MemSegError for a port, a model or an image that cannot be had.
    """
    catalog.card(model or catalog.default())
    if image is not None and not Path(image).exists():
        raise FileError(f"There is no file {image}; check its name.")
    asyncio.run(_serve(image, host, free_port(host, port), model, device, announce))


async def _serve(
    image: Path | None, host: str, port: int, model: str | None, device: str, announce: Callable[[str], None]
) -> None:
    from .application import Application
    from .documents import SAMPLE

    server, transfers = Server("memseg"), Transfers()
    server.client_type = "vue3"
    bind(server, transfers, host)
    application = Application(server, transfers, model, device)
    start = image or (SAMPLE if SAMPLE.exists() else None)
    opening: list[asyncio.Task] = []

    def ready(address: str) -> None:
        announce(address)
        if start is not None:
            opening.append(asyncio.get_running_loop().create_task(application.open(Path(start).absolute())))

    try:
        await serve(server, host, port, ready)
    finally:
        application.close()
        transfers.close()
