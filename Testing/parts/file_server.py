"""A server of one file on this computer that behaves as well or badly as a test asks."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = bytes(range(251)) * 13_000  # 3.263 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Behaviour:
    """stop_after: bytes of each answer, then the connection breaks; a list has one for each answer, None for all of it.
    hang: stop without closing. pause_s: between pieces of piece_bytes. says_length: whether the size is told. redirect:
    where "/moved" leads. linked: headers that come with it."""

    content: bytes = CONTENT
    ranges: bool = True
    etag: str = '"one"'
    modified: str = ""
    stop_after: list[int | None] = field(default_factory=list)
    hang: bool = False
    pause_s: float = 0.0
    piece_bytes: int = 2**18
    says_length: bool = True
    status: list[int] = field(default_factory=list)
    redirect: str = ""
    linked: dict[str, str] = field(default_factory=dict)


class FileServer:
    """asked: the path and headers of every request, oldest first."""

    def __init__(self) -> None:
        self.behaviour, self.asked = Behaviour(), []
        self.closing = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_words: object) -> None:
                pass

            def do_GET(self) -> None:  # noqa: N802
                owner.asked.append((self.path, dict(self.headers)))
                owner._answer(self)

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_words: object) -> None:
                pass  # clients leave in the middle here

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/weights.pth"

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        how = self.behaviour
        if how.status and (status := how.status.pop(0)) != 200:
            return self._bare(handler, status)
        if handler.path == "/moved" and how.redirect:
            handler.send_response(302)
            handler.send_header("Location", how.redirect)
            handler.send_header("Content-Length", "0")
            for name, value in how.linked.items():
                handler.send_header(name, value)
            return handler.end_headers()
        start = self._start(handler)
        if start > 0 and start >= len(how.content):
            return self._bare(handler, 416)
        handler.send_response(206 if start else 200)
        if start:
            size = len(how.content)
            handler.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        if how.says_length:
            handler.send_header("Content-Length", str(len(how.content) - start))
        else:
            handler.send_header("Connection", "close")
            handler.close_connection = True
        for name, value in (("ETag", how.etag), ("Last-Modified", how.modified)):
            if value:
                handler.send_header(name, value)
        handler.end_headers()
        self._send(handler, how.content[start:])

    def _send(self, handler: BaseHTTPRequestHandler, content: bytes) -> None:
        how = self.behaviour
        stop = how.stop_after.pop(0) if how.stop_after else None
        sent = content if stop is None else content[:stop]
        for place in range(0, len(sent), how.piece_bytes):
            handler.wfile.write(sent[place : place + how.piece_bytes])
            handler.wfile.flush()
            time.sleep(how.pause_s)
        if stop is not None:
            if how.hang:
                self.closing.wait(20)
            handler.close_connection = True

    def _start(self, handler: BaseHTTPRequestHandler) -> int:
        """Where the answer begins: what was asked for, if that can be had of this very version."""
        how, asked = self.behaviour, handler.headers.get("Range", "")
        version = handler.headers.get("If-Range")
        same = version is None or version in (how.etag, how.modified)
        return int(asked.removeprefix("bytes=").rstrip("-")) if how.ranges and asked and same else 0

    @staticmethod
    def _bare(handler: BaseHTTPRequestHandler, status: int) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
