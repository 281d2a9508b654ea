"""Who is connected: which connections belong together, who is logged in, and who may steer a channel in direct mode.

A client of MacNet has two connections, one to each port, and nothing on the wire says that they belong together. Here
a JSON and a binary connection are taken for one client's when, among those of that computer without a partner, there is
no other choice. Left out on purpose: guessing. That a login holds for every connection of a computer is a guess, and
so is what a tester answers to somebody who has not logged in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(eq=False)
class Client:
    """One connection.

    Attributes
    ----------
    kind : str
        ``json`` or ``binary``.
    host : str
        The computer at its other end.
    partner : Client or None
        Its other connection.
    lonely : bool
        Whether it may still get a partner.
    listing : list
        What a listing of files has still to give.
    transfer : dict
        A file on its way, over many messages.
    """

    kind: str
    host: str
    partner: Client | None = None
    lonely: bool = True
    logged_in: bool = False
    connected: bool = True
    listing: list[tuple[int, Path]] = field(default_factory=list)
    transfer: dict[str, Any] = field(default_factory=dict)

    def is_one_with(self, other: Client) -> bool:
        """Whether both are connections of one client, as far as can be known."""
        return other is self or other is self.partner


class Clients:
    """All connections to one tester."""

    def __init__(self) -> None:
        self._here: list[Client] = []

    def __len__(self) -> int:
        return len(self._here)

    def come(self, kind: str, host: str) -> Client:
        """Take note of a new connection, and of whose it is where that is beyond doubt."""
        new = Client(kind, host)
        waiting = [one for one in self._here if one.host == host and one.lonely]
        others = [one for one in waiting if one.kind != kind]
        rivals = [one for one in waiting if one.kind == kind]
        if len(others) == 1 and not rivals:
            new.partner, others[0].partner = others[0], new
            new.lonely = others[0].lonely = False
        elif others:
            # Any choice could be wrong, now and later: they stay without partners.
            for one in [*waiting, new]:
                one.lonely = False
        self._here.append(new)
        return new

    def go(self, client: Client) -> None:
        """Take note that a connection has ended. Idempotent."""
        client.connected = client.lonely = False
        if client in self._here:
            self._here.remove(client)

    def logged_in(self, host: str) -> bool:
        """Whether somebody on that computer has logged in and is still connected."""
        return any(one.logged_in for one in self._here if one.host == host)

    def log_out(self, host: str) -> None:
        """Log everybody on that computer out."""
        for one in self._here:
            if one.host == host:
                one.logged_in = False
