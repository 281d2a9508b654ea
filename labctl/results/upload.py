"""An HTTP(S) endpoint: every bundle is sent there as a zip. What is said on the wire stands in ``docs/delivery.md``."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, Final, cast
from urllib.parse import urlsplit

from labctl.results.parcel import BUNDLE_SCHEMA, NotDelivered, Parcel, Undeliverable, pack

#: Real seconds for connecting, and for every silence of the receiver after that.
PATIENCE: Final = 30.0
#: Larger zips wait on the disk while they are sent (bytes).
_IN_MEMORY: Final = 16 * 2**20
#: What is read of an answer at most (bytes).
_ANSWER: Final = 64 * 2**10
_STORED: Final = frozenset({200, 201})
#: The same request may come to something later; so may whatever begins with 5.
_LATER: Final = frozenset({408, 429})
#: Refusals that no other bundle would escape.
_EVERYTHING: Final = frozenset({401, 403, 404, 405})


class HttpEndpoint:
    """Delivers to an HTTP(S) endpoint.

    Parameters
    ----------
    name : str
        What the journal calls it.
    address : str
        Bundles go to ``ADDRESS/bundles/SHA256``.
    token : callable or None
        Gives the bearer token; asked anew for every bundle, so that one that was set meanwhile is taken.
    certificates : Path or None
        PEM file of the authorities that may vouch for the endpoint, instead of the system's.
    laboratory : str
        Whose bundles they are.
    patience : float
        Real seconds for connecting, and for every silence of the receiver.
    """

    def __init__(
        self,
        name: str,
        address: str,
        token: Callable[[], str] | None,
        certificates: Path | None,
        laboratory: str,
        patience: float = PATIENCE,
    ) -> None:
        self.name = name
        self._address = urlsplit(address.rstrip("/"))
        self._token = token
        self._certificates = certificates
        self._laboratory = laboratory
        self._patience = patience
        self._connection: HTTPConnection | None = None

    def close(self) -> None:
        """Have the receiver's silence end now."""
        found = self._connection.sock if self._connection is not None else None
        if isinstance(found, socket.socket):
            with suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)

    def deliver(self, parcel: Parcel) -> None:
        """Send a bundle; see :class:`~labctl.results.parcel.Target`."""
        token = self._credential()
        with SpooledTemporaryFile(max_size=_IN_MEMORY) as spooled:
            body = cast("BinaryIO", spooled)
            pack(parcel, body)
            headers = {
                "Content-Type": "application/zip",
                "Content-Length": str(body.tell()),
                "Labctl-Schema": BUNDLE_SCHEMA,
                "Labctl-Operation": parcel.operation,
                "Labctl-Laboratory": self._laboratory,
                "Labctl-Mode": str(parcel.data.get("mode")),
                "User-Agent": "labctl",
            }
            if token is not None:
                headers["Authorization"] = f"Bearer {token}"
            body.seek(0)
            try:
                status, reason, answer, after = self._put(f"/bundles/{parcel.sha256}", body, headers)
            except (OSError, HTTPException) as error:
                raise NotDelivered(f"{self._address.netloc}: {_words(error)}") from error
        self._judge(parcel, status, f"{status} {reason}", answer.replace(token or "\0", "…"), after)

    def _credential(self) -> str | None:
        if self._token is None:
            return None
        token = self._token()
        # Checked here: the library's own message would repeat it.
        if not token.isascii() or not token.isprintable() or " " in token:
            raise Undeliverable("the token has characters that no header can hold", everything=True)
        return token

    def _put(self, path: str, body: BinaryIO, headers: dict[str, str]) -> tuple[int, str, str, float | None]:
        with closing(self._connect()) as self._connection:
            try:
                self._connection.request("PUT", self._address.path + path, body=body, headers=headers)
            except (BrokenPipeError, ConnectionResetError) as error:
                # Who refuses at the first line need not read the rest; what it said may have arrived.
                try:
                    return _answer(self._connection.getresponse())
                except (OSError, HTTPException):
                    raise error from None
            return _answer(self._connection.getresponse())

    def _connect(self) -> HTTPConnection:
        host, port = self._address.hostname or "", self._address.port
        if self._address.scheme != "https":
            return HTTPConnection(host, port, timeout=self._patience)
        context = ssl.create_default_context(cafile=self._certificates)
        return HTTPSConnection(host, port, timeout=self._patience, context=context)

    def _judge(self, parcel: Parcel, status: int, said: str, answer: str, after: float | None) -> None:
        """Tell what has arrived, what may later, and what never will."""
        words = f"{said}: {_brief(answer)}" if _brief(answer) else said
        if status in _STORED:
            # A proxy that asks for a login answers 200 too; the receiver alone knows the hash of what it has.
            if _receipt(answer) != parcel.sha256:
                raise NotDelivered(f"answered {said} without a receipt for the bundle; is this the receiver?")
        elif status in _LATER or status >= 500:
            raise NotDelivered(f"answered {words}", after=after)
        elif 300 <= status < 400:
            raise Undeliverable(f"answered {said}: it has moved", everything=True, hint="put the new address in")
        elif status >= 400:
            raise Undeliverable(f"answered {words}", everything=status in _EVERYTHING)
        else:
            raise NotDelivered(f"answered {words}, which says nothing of the bundle")


def _answer(response: HTTPResponse) -> tuple[int, str, str, float | None]:
    text = response.read(_ANSWER).decode("utf-8", "replace")
    wait = response.headers.get("Retry-After", "")
    return response.status, response.reason, text, float(wait) if wait.isdecimal() else None


def _receipt(answer: str) -> str | None:
    try:
        found: Any = json.loads(answer)
    except ValueError:
        return None
    return str(found.get("sha256")) if isinstance(found, dict) else None


def _brief(answer: str) -> str:
    """Give what a receiver said of its reason, as a line."""
    try:
        found: Any = json.loads(answer)
    except ValueError:
        found = answer
    if isinstance(found, dict):
        found = found.get("error", "")
    line = " ".join(str(found).split())
    return "" if line.startswith("<") else "".join(one for one in line if one.isprintable())[:200]


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__
