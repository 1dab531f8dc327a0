"""Starting and stopping: a loopback server, its address, uploads and downloads beside trame's own routes, Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import secrets
import shutil
import signal
import socket
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from trame_server import Server

from memseg.errors import FileError

logger = logging.getLogger(__name__)

_FIRST_PORT, _PORTS_TRIED = 8080, 20
_BLOCK_BYTES = 1 << 20
_SPARE_BYTES = 1 << 28  # left free on the disk by an upload


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return False


def free_port(host: str, wanted: int) -> int:
    """The wanted port, or the first free one from 8080 on where `wanted` is 0. Raises FileError where it is taken."""
    candidates = [wanted] if wanted else [*range(_FIRST_PORT, _FIRST_PORT + _PORTS_TRIED), 0]
    for port in candidates:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except PermissionError:
                raise FileError(f"Port {port} may not be used by you; choose one above 1023.") from None
            except OSError:
                continue
            return probe.getsockname()[1]
    raise FileError(f"Port {wanted} on {host} is in use or cannot be had; choose another one, or 0 for any.")


class Transfers:
    """Files on their way from and to the browser, streamed through a folder that goes when the server stops."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="memseg-"))
        self._downloads: dict[str, Path] = {}

    def batch(self, name: str) -> Path:
        """The one file that was uploaded under this batch's name, or the folder with all of them. Raises FileError."""
        folder = self._batch_folder(name)
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        if not files:
            raise FileError("The upload brought no file; try again.")
        return files[0] if len(files) == 1 else folder

    def drop_batch(self, name: str) -> None:
        shutil.rmtree(self._batch_folder(name), ignore_errors=True)

    def offer(self, name: str) -> tuple[Path, str]:
        """A place to write a file of that name to, and the address from which the browser then gets it once."""
        token = secrets.token_urlsafe(12)
        folder = self.folder / token
        folder.mkdir()
        self._downloads[token] = folder / name
        return folder / name, f"download/{token}"

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post("/upload", self._receive)
        app.router.add_get("/download/{token}", self._send)

    def _batch_folder(self, name: str) -> Path:
        if not name.isalnum():
            raise FileError("The upload has no usable name; try again.")
        return self.folder / f"upload-{name}"

    async def _receive(self, request: web.Request) -> web.Response:
        if request.headers.get("X-MemSeg") != "upload":  # a header that no other site can send without being asked
            return web.Response(status=403, text="The upload was refused.")
        name = Path(request.query.get("name", "")).name
        if not name or name.startswith("."):
            return web.Response(status=400, text="The file has no usable name.")
        if (request.content_length or 0) + _SPARE_BYTES > shutil.disk_usage(self.folder).free:
            return web.Response(status=507, text="The server's disk has no room for this file.")
        try:
            folder = self._batch_folder(request.query.get("batch", ""))
            folder.mkdir(exist_ok=True)
            with open(folder / name, "wb") as target:
                async for block in request.content.iter_chunked(_BLOCK_BYTES):
                    target.write(block)
        except FileError as error:
            return web.Response(status=400, text=str(error))
        except OSError as error:
            return web.Response(status=507, text=f"The server cannot keep this file ({error.strerror}).")
        return web.Response(text=name)

    async def _send(self, request: web.Request) -> web.StreamResponse:
        path = self._downloads.get(request.match_info["token"])
        if path is None or not path.is_file():
            return web.Response(status=404, text="This download is no longer there.")
        return web.FileResponse(path, headers={"Content-Disposition": f'attachment; filename="{path.name}"'})


@web.middleware
async def same_site_only(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuse what other web sites send to a loopback server through the user's browser."""
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        return web.Response(status=403, text="Requests from other sites are refused.")
    if request.app["loopback"] and not is_loopback(urlsplit(f"//{request.host}").hostname or ""):
        return web.Response(status=403, text="This server answers on its loopback address only.")
    return await handler(request)


def bind(server: Server, transfers: Transfers, host: str) -> None:
    """Add the routes and the guard when trame makes its web server."""

    def on_bind(wslink_server: object) -> None:
        app = wslink_server.app
        app["loopback"] = is_loopback(host)
        app.middlewares.append(same_site_only)
        transfers.add_routes(app)

    server.controller.on_server_bind.add(on_bind)


def _log_quietly(_loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    logger.debug("While stopping: %s", context.get("message"))


async def serve(server: Server, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Run until Ctrl-C or SIGTERM; `ready` gets the address once. A second Ctrl-C ends the process at once."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def stop() -> None:
        if stopping.is_set():
            os._exit(130)
        stopping.set()
        loop.set_exception_handler(_log_quietly)  # a picture on its way to a tab finds its connection closed

    for name in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(name, stop)
        except NotImplementedError:  # Windows
            signal.signal(name, lambda *_: loop.call_soon_threadsafe(stop))
    os.environ.setdefault("WSLINK_READY_MSG", "")
    task = server.start(
        host=host,
        port=port,
        exec_mode="task",
        thread=True,
        open_browser=False,
        show_connection_info=False,
        timeout=0,
    )
    await server.ready
    ready(f"http://{'localhost' if host == 'localhost' else f'[{host}]' if ':' in host else host}:{server.port}/")
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if stopping.is_set():
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(server.stop(), timeout=3)
    waiting.cancel()
