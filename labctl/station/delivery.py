"""Where results go besides the results folder: the entries of ``delivery`` in a station file."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Discriminator, Field, Tag

from labctl.documents import Document, Model, Name, Path, Text, expected
from labctl.errors import Mistake
from labctl.station.instruments import Secret

#: What the built-in analysis core is called among the targets.
CORE = "core"
_KINDS = ("core", "folder", "http")
#: The laboratory's own folder of results, relative to it.
_RESULTS = "results"


class ToCore(Model):
    """The built-in analysis core: evaluates a campaign at its end."""

    to: Literal["core"] = Field(description="Where to.", examples=["core"])

    @property
    def target(self) -> str:
        """What it is called in the journal."""
        return CORE


class ToFolder(Model):
    """A drop folder: every bundle is copied there."""

    to: Literal["folder"] = Field(description="Where to.", examples=["folder"])
    path: Text = Field(
        description="Absolute, or relative to the laboratory. An absolute one must be there: a share that is not "
        "mounted is not filled.",
        examples=["/mnt/archive/labctl"],
    )
    name: Name | None = Field(
        default=None, description="Under which its outbox is kept; left out, the path is.", examples=["archive"]
    )

    @property
    def target(self) -> str:
        """What it is called in the journal."""
        return self.name or self.path


class ToHttp(Model):
    """An HTTP(S) endpoint: every bundle is sent there."""

    to: Literal["http"] = Field(description="Where to.", examples=["http"])
    address: Text = Field(
        description="Bundles go to ADDRESS/bundles/SHA256.", examples=['"https://lims.example.org/labctl"']
    )
    token: Secret | None = Field(
        default=None, description="Sent as bearer token.", examples=["{env: LABCTL_DELIVERY_TOKEN}"]
    )
    certificates: Text | None = Field(
        default=None,
        description="PEM file of the authorities that may vouch for the endpoint, instead of the system's.",
        examples=["lims-ca.pem"],
    )
    insecure: bool = Field(
        default=False, description="Whether http:// may leave this computer, readable by others.", examples=[False]
    )
    name: Name | None = Field(
        default=None, description="Under which its outbox is kept; left out, the address is.", examples=["lims"]
    )

    @property
    def target(self) -> str:
        """What it is called in the journal."""
        return self.name or self.address.rstrip("/")


def _is_known(value: object) -> object:
    if not isinstance(value, dict) or value.get("to") not in _KINDS:
        raise expected("it is not said where to", "write 'to: core', 'to: folder' or 'to: http'")
    return value


DeliveryEntry = Annotated[
    Annotated[ToCore, Tag("core")] | Annotated[ToFolder, Tag("folder")] | Annotated[ToHttp, Tag("http")],
    Discriminator(lambda value: value.get("to") if isinstance(value, dict) else getattr(value, "to", None)),
    BeforeValidator(_is_known),
]


def check_delivery(entries: tuple[ToCore | ToFolder | ToHttp, ...], document: Document) -> Iterator[Mistake]:
    """Find entries that can't work, or must not."""
    first: dict[str, int] = {}
    for index, entry in enumerate(entries):
        path: Path = ("delivery", index)
        if (before := first.setdefault(entry.target, index)) != index:
            line = document.place(("delivery", before)).line
            found = f"'{entry.target}' stands here a second time, first in line {line}"
            yield document.mistake(path, found, "deliver to each place once")
        if entry.target == CORE and not isinstance(entry, ToCore):
            yield document.mistake(path, f"'{CORE}' is the built-in analysis core", "give it another 'name'")
        if isinstance(entry, ToFolder) and _inside_results(entry.path):
            found = "bundles are in the results folder already"
            yield document.mistake((*path, "path"), found, "name a folder outside it")
        if isinstance(entry, ToHttp):
            wrong = _wrong_address(entry)
            if wrong is not None:
                yield document.mistake((*path, "address"), *wrong)


def _inside_results(path: str) -> bool:
    kinds = PureWindowsPath, PurePosixPath
    return any(kind(path).parts[:1] == (_RESULTS,) for kind in kinds)


def _wrong_address(entry: ToHttp) -> tuple[str, str] | None:
    """Say what is wrong with an address and what would be right; the message repeats no credential."""
    right = "write it as 'https://host/path'"
    try:
        parts = urlsplit(entry.address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "this is no address", right
    if parts.scheme not in ("http", "https") or not host:
        return "this is no address of an HTTP endpoint", right
    if parts.username is not None or parts.password is not None:
        return "a credential must not stand in the file", "write 'token: {env: NAME}' and keep it there"
    if parts.query or parts.fragment or not entry.address.isascii() or " " in entry.address:
        return "bundles can't go below this address", right
    if parts.scheme == "http" and not entry.insecure and not _loopback(host):
        return "bundles and token would travel in the clear", "use https://, or add 'insecure: true'"
    return None


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
