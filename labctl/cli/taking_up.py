"""Which campaigns a run is about: those that have begun and not ended, and the one that its files ask for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.cli import plugins
from labctl.engine import campaign as campaigns
from labctl.engine.campaign import Campaign
from labctl.errors import InvalidFile, JournalError, UsageError
from labctl.instruments import Clock
from labctl.journal import FILE_NAME, CampaignRow, LastWord
from labctl.protocol import Protocol, load_protocol, read_protocol
from labctl.safety.preflight import check
from labctl.station import Cells, Station, load_cells, load_station, read_cells, read_station

if TYPE_CHECKING:
    from labctl.journal import Journal


@dataclass(frozen=True, slots=True)
class TakenUp:
    """What a run is about.

    Attributes
    ----------
    asked : Campaign
        The campaign that the given files ask for: a new one, or one that goes on from its frozen files.
    others : tuple of Campaign
        Further campaigns that have begun and not ended.
    begun : bool
        Whether the journal has the one that is asked for.
    changed : tuple of str
        What a person should know: files that are not those it began with.
    laboratory : str or None
        When the simulated laboratory was born in which the campaigns began.
    ended : bool
        Whether the one that is asked for has come to its end before.
    """

    asked: Campaign
    others: tuple[Campaign, ...]
    begun: bool
    changed: tuple[str, ...] = ()
    laboratory: str | None = None
    ended: bool = False

    @property
    def goes_on(self) -> bool:
        """Whether anything has begun before."""
        return self.begun or bool(self.others)

    def all_cells(self) -> Cells:
        """Give the cells of all campaigns as one file."""
        together = {cell.id: cell for one in (*self.others, self.asked) for cell in one.cells.cells}
        return self.asked.cells.model_copy(update={"cells": tuple(together.values())})


def check_files(
    protocol: Path,
    station: Path,
    cells: Path,
    begun: Sequence[CampaignRow] = (),
    values: Mapping[str, str] | None = None,
) -> Campaign:
    """Load and check all three files.

    Parameters
    ----------
    begun : sequence of CampaignRow
        Campaigns that go on: files that are still theirs were checked when they began, and are not parsed again.
    values : mapping of str to str, optional
        What the protocol's parameters are, where not what the file says.

    Raises
    ------
    InvalidFile
        With every mistake of all of them.
    """
    known = None if values else _as_begun({"protocol": protocol, "station": station, "cells": cells}, begun)
    if known is not None:
        return known
    loaded_station = load_station(station, drivers=plugins.driver_names())
    return _checked(load_protocol(protocol, values), loaded_station, load_cells(cells))


def begun_in(folder: Path, clock: Clock) -> list[CampaignRow]:
    """Look into a laboratory's journal for campaigns that go on; none where it can't be read, which is told later."""
    try:
        return [row for row in LastWord(folder / FILE_NAME, clock).campaigns() if row.ended is None]
    except JournalError:
        return []


def _as_begun(paths: Mapping[str, Path], begun: Sequence[CampaignRow]) -> Campaign | None:
    """Take files that a campaign began with from its frozen copies; None where one of them is another."""
    try:
        hashes = {kind: hashlib.sha256(path.read_bytes()).hexdigest() for kind, path in paths.items()}
    except OSError:
        # Loading the file says what is wrong with it.
        return None
    for row in begun:
        if all(row.files[kind]["sha256"] == found and "data" in row.files[kind] for kind, found in hashes.items()):
            files = {kind: {**row.files[kind], "path": str(path)} for kind, path in paths.items()}
            known = frozen(replace(row, files=files))
            return replace(known, name="", mode=known.station.mode, started="")
    return None


def check_texts(files: Mapping[str, Mapping[str, Any]]) -> Campaign:
    """Do the same with files that a client sends as text.

    Raises
    ------
    InvalidFile
        With every mistake of all of them.
    UsageError
        A file is missing.
    """
    try:
        protocol, station, cells = ((files[kind]["text"], files[kind]["path"]) for kind in _KINDS)
        pieces, values = _more(files["protocol"])
    except (KeyError, TypeError) as error:
        raise UsageError("a campaign is handed in as the text and path of protocol, station and cells") from error
    loaded_station = read_station(*station, drivers=plugins.driver_names())
    return _checked(read_protocol(*protocol, pieces=pieces, values=values), loaded_station, read_cells(*cells))


_KINDS = ("protocol", "station", "cells")


def _more(protocol: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Give what belongs to a protocol's text: included files, which are not read from the disk, and values."""
    return dict(protocol.get("pieces", {})), dict(protocol.get("values", {}))


def _checked(protocol: Protocol, station: Station, cells: Cells) -> Campaign:
    entries = station.entries()
    mistakes = check(protocol, station, cells, plugins.roles(entries), plugins.capabilities(entries))
    if mistakes:
        raise InvalidFile(mistakes)
    return campaigns.make("", protocol, station, cells, station.mode)


def take_up(journal: Journal, wanted: Campaign, *, simulate: bool, again: bool = False) -> TakenUp:
    """Tell what goes on and what is new.

    Cells belong to one campaign at a time: files that name cells of a campaign that has begun ask for that campaign.
    The files of a campaign that has ended ask for nothing more, unless it is to be done ``again``.

    Raises
    ------
    UsageError
        What has begun can't go on in this mode, or in this laboratory.
    """
    rows = campaigns.unfinished(journal)
    for row in rows:
        if row.settings.get("simulate") != simulate:
            was = "simulated" if row.settings.get("simulate") else "with live instruments"
            raise UsageError(f"campaign {row.campaign} runs {was}; it can't go on otherwise")
    # Where nothing has changed the files at hand are the frozen ones: one that comes back should be there at once.
    begun = [
        (
            row,
            frozen(row)
            if _changed(row, wanted)
            else replace(wanted, name=row.campaign, mode=row.mode, started=row.started),
        )
        for row in rows
    ]
    ids = {cell.id for cell in wanted.cells.cells}
    mine = next((one for one in begun if ids & {cell.id for cell in one[1].cells.cells}), None)
    laboratory = rows[0].settings.get("laboratory") if rows else None
    if mine is not None:
        others = tuple(campaign for row, campaign in begun if row is not mine[0])
        return TakenUp(mine[1], others, True, _changed(mine[0], wanted), laboratory)
    if begun and begun[0][0].files["station"]["sha256"] != wanted.files()["station"]["sha256"]:
        raise UsageError(
            f"{wanted.station.document.file} is not the station of campaign {begun[0][0].campaign}, which goes on here",
            hint="run it with the same station file, or in another laboratory folder",
        )
    over = _over(journal, wanted)
    if over is not None and not again:
        done = replace(wanted, name=over.campaign, mode=over.mode, started=over.started)
        return TakenUp(done, tuple(campaign for _, campaign in begun), True, (), laboratory, ended=True)
    mode = "simulated" if simulate else wanted.mode
    named = replace(wanted, name=campaigns.next_name(journal, wanted.protocol.protocol), mode=mode)
    return TakenUp(named, tuple(campaign for _, campaign in begun), False, (), laboratory)


def _changed(row: CampaignRow, wanted: Campaign) -> tuple[str, ...]:
    return tuple(
        f"{file['path']} has changed since campaign {row.campaign} began; it goes on with the file as it was then"
        for kind, file in wanted.files().items()
        if file["sha256"] != row.files[kind]["sha256"]
    )


def frozen(row: CampaignRow) -> Campaign:
    """Rebuild a campaign from its files as the journal keeps them."""
    files = row.files
    # A labctl of schema version 1 froze the text alone.
    protocol, station, cells = ((files[kind]["text"], files[kind]["path"], files[kind].get("data")) for kind in _KINDS)
    pieces, values = _more(files["protocol"])
    return campaigns.make(
        row.campaign,
        read_protocol(*protocol, pieces=pieces, values=values),
        read_station(*station[:2], plugins.driver_names(), station[2]),
        read_cells(*cells),
        row.mode,
        row.started,
    )


def hand_over(journal: Journal, running: Sequence[Campaign], request: Mapping[str, Any], *, simulate: bool) -> Campaign:
    """Take the campaign of a client: one that runs already, or a new one that is not in the journal yet.

    Raises
    ------
    UsageError
        It is about another station or mode, or about cells that are in another campaign.
    InvalidFile
        With every mistake of its files.
    """
    if bool(request.get("simulate")) != simulate:
        raise UsageError("the orchestrator here runs " + ("simulated" if simulate else "with live instruments"))
    wanted = check_texts(request.get("files") or {})
    ids = {cell.id for cell in wanted.cells.cells}
    for campaign in running:
        common = sorted(ids & {cell.id for cell in campaign.cells.cells})
        if not common:
            continue
        same = all(wanted.files()[kind]["sha256"] == campaign.files()[kind]["sha256"] for kind in _KINDS)
        if same:
            return campaign
        raise UsageError(
            f"cell {common[0]} is in campaign {campaign.name} already, which runs here from other files",
            hint="give the same files to follow it, or name other cells",
        )
    if running and wanted.files()["station"]["sha256"] != running[0].files()["station"]["sha256"]:
        raise UsageError(f"{wanted.station.document.file} is not the station file of the orchestrator that runs here")
    homes = {cell.place: cell.id for campaign in running for cell in campaign.cells.cells}
    for cell in wanted.cells.cells:
        if cell.place in homes:
            raise UsageError(f"{cell.place}, home of {cell.id}, is the home of {homes[cell.place]} already")
    over = _over(journal, wanted)
    if over is not None and not request.get("again"):
        raise UsageError(f"campaign {over.campaign} of these files has ended", hint="'--again' begins another")
    name = campaigns.next_name(journal, wanted.protocol.protocol)
    return replace(wanted, name=name, mode="simulated" if simulate else wanted.mode)


def _over(journal: Journal, wanted: Campaign) -> CampaignRow | None:
    """Give the last campaign of these very files that has come to its end."""
    return next((row for row in reversed(journal.campaigns()) if row.ended and not _changed(row, wanted)), None)
