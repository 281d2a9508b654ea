"""A reference receiver of bundles, after ``docs/delivery.md``; told to, one that fails in the ways receivers do.

It stores what it has checked, and nothing else: the hash in the path against the document in the zip, and every file
against its hash in the document. Whoever writes a receiver can begin here.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import socket
import ssl
import threading
import zipfile
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TLS = Path(__file__).parent / "tls"
TOKEN = "a-token-of-the-tests"
_PATH = re.compile(r"/labctl/bundles/([0-9a-f]{64})")


class Wrong(Exception):
    """The bundle is not what it says it is."""


def check(sha256: str, content: bytes) -> str:
    """Check a bundle as it was sent, and give the operation whose it is."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            files = {name: packed.read(name) for name in packed.namelist()}
    except zipfile.BadZipFile as error:
        raise Wrong(str(error)) from error
    name = next(iter(files), "")
    if name not in ("operation.json", "campaign.json") or hashlib.sha256(files[name]).hexdigest() != sha256:
        raise Wrong("the document has another hash")
    document = json.loads(files.pop(name))
    listed = {entry["name"]: entry["sha256"] for entry in document.get("files", [])}
    if listed != {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}:
        raise Wrong("the files are not those of the document")
    return str(document.get("operation", document["campaign"]))


class _Server(ThreadingHTTPServer):
    # Whoever leaves waits for what is still being answered.
    daemon_threads = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not trust the certificate goes away; nothing depends on it."""


class Receiver:
    """Listens on a loopback port as long as it is entered.

    Attributes
    ----------
    moods : deque
        What happens to the next requests instead of what should: a status; ``cut`` in the middle of the body;
        ``lost`` after storing; ``late`` until :attr:`awake` is set; ``page``, a proxy's; ``moved``;
        ``busy`` for two minutes.
    stored : dict
        Hash to what was sent.
    answered : list
        Status and operation of every request.
    """

    def __init__(self, *, token: str | None = TOKEN, tls: bool = False, port: int = 0) -> None:
        self.token = token
        self.moods: deque[int | str] = deque()
        self.stored: dict[str, bytes] = {}
        self.answered: list[tuple[int | str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.awake = threading.Event()
        self._server = _Server(("127.0.0.1", port), _handler(self))
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(TLS / "receiver.pem")
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port: int = self._server.server_address[1]
        self.address = f"http{'s' if tls else ''}://127.0.0.1:{self.port}/labctl"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.awake.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def operations(self) -> set[str]:
        """Whose bundles have arrived."""
        return {check(sha256, content) for sha256, content in self.stored.items()}

    def statuses(self) -> list[int | str]:
        return [status for status, _ in self.answered]

    def judge(self, path: str, given: str | None, content: bytes) -> tuple[int, dict[str, Any]]:
        """Answer one request as it should be."""
        found = _PATH.fullmatch(path)
        if self.token is not None and given != f"Bearer {self.token}":
            return 401, {"error": "who are you?"}
        if found is None:
            return 404, {"error": "no such place"}
        sha256 = found[1]
        try:
            operation = check(sha256, content)
        except Wrong as wrong:
            return 422, {"error": str(wrong)}
        status = 200 if sha256 in self.stored else 201
        self.stored.setdefault(sha256, content)
        return status, {"schema": "labctl.receipt/1", "sha256": sha256, "operation": operation}


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def setup(self) -> None:
            super().setup()
            if isinstance(self.connection, ssl.SSLSocket):
                self.connection.do_handshake()

        def handle(self) -> None:
            try:
                super().handle()
            except (OSError, ValueError):
                # The client went away.
                self.close_connection = True

        def do_PUT(self) -> None:
            operation = self.headers.get("Labctl-Operation", "")
            receiver.headers.append(dict(self.headers))
            mood = receiver.moods.popleft() if receiver.moods else None
            length = int(self.headers.get("Content-Length", "0"))
            if mood == "cut":
                self.rfile.read(length // 2)
                receiver.answered.append((mood, operation))
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            content = self.rfile.read(length)
            if mood == "late":
                receiver.awake.wait()
            if mood in (None, "late", "lost"):
                status, answer = receiver.judge(self.path, self.headers.get("Authorization"), content)
            else:
                status, answer = mood if isinstance(mood, int) else 0, {"error": "told to"}
            receiver.answered.append((mood if isinstance(mood, str) else status, operation))
            if mood == "lost":
                self.connection.shutdown(socket.SHUT_RDWR)
            elif mood == "page":
                self._answer(200, b"<html>Please log in</html>")
            elif mood == "busy":
                self._answer(503, b"", **{"Retry-After": "120"})
            elif mood == "moved":
                self._answer(307, b"", Location="http://192.0.2.1/")
            else:
                self._answer(status, json.dumps(answer).encode())

        def _answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Tests say what they need to know."""

    return Handler
