"""One request after the other for a person at an instrument that labctl does not reach: ask, look, take in, withdraw.

Completion is judged from the dropped files alone, so that a restarted labctl goes on where it was: a request that has a
sheet was asked, one without was not.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from labctl.errors import DataError
from labctl.instruments import (
    CannotSay,
    DriverContext,
    Fetched,
    Handle,
    Hiccup,
    Identity,
    Inspection,
    NotReachable,
    Progress,
    Refused,
    State,
)
from labctl_drivers.assisted.desk import ACCEPT, REQUEST, TAKEN, WITHDRAWN, Acceptance, Desk, plain, put
from labctl_drivers.assisted.findings import Task, Window
from labctl_drivers.assisted.inspection import inspect
from labctl_drivers.assisted.judging import Verdict, judge, overruled
from labctl_drivers.assisted.place import Place
from labctl_drivers.assisted.settings import Settings
from labctl_drivers.assisted.sheet import request_sheet

#: Seconds between looks once something was dropped, so that a person soon reads what differs, and the most while
#: nothing was dropped; in between a share of what was waited for.
LOOK: Final = 60.0
SELDOM: Final = 300.0
_SHARE: Final = 0.05
_TOKEN: Final = re.compile(r"[a-z0-9-]{1,25}\Z")


class AssistedInstrument(ABC):
    """What the assisted roles with operations share.

    Parameters
    ----------
    context : DriverContext
        Its settings: see ``docs/drivers/assisted.md``.
    settings : Settings
        The same, read.
    """

    def __init__(self, context: DriverContext, settings: Settings) -> None:
        self.role = settings.role
        self._context = context
        self._settings = settings
        self._place = Place(context, settings)
        self._steady: dict[str, tuple[str, datetime]] = {}
        self._judged: dict[str, tuple[str, Verdict]] = {}

    async def connect(self) -> Identity:
        """See that the drop folder is there and can be written. Raises ``NotReachable``, ``NotIdentified``."""
        return await self._place.connect()

    async def inspect(self, *, exercise: bool) -> Inspection:
        """Say what is known of a person's instrument; nothing is moved."""
        return inspect(self._settings)

    async def close(self) -> None:
        """Let go; requests stand."""
        self._place.close()

    @abstractmethod
    def _task(self, token: str, asked: Mapping[str, Any]) -> Task:
        """Make the task again from what a handle keeps."""

    # -- asking --------------------------------------------------------------------------------------------------
    async def _ask(self, token: str, place: str, name: str, task: Task) -> Handle:
        """Lay the request down; asking the same again gives the handle of the first time.

        Raises
        ------
        Refused
            The token was used for something else, or is none.
        """
        if not _TOKEN.match(token):
            raise self._place.fault(Refused, f"'{token}' is no token: at most 25 of a-z, 0-9 and -")
        data = {"asked": plain(task.asked), "name": name}
        handle = Handle(token, place, self._context.clock.now().isoformat(), data)
        return await self._place.run(self._lay_down, handle, task)

    def _lay_down(self, handle: Handle, task: Task) -> Handle:
        desk = self._desk(handle.token)
        known = desk.request()
        if known is None:
            about = {
                "instrument": self._context.name,
                "role": self.role,
                "vendor": self._settings.vendor,
                "settings": [asdict(one) for one in task.settings],
            }
            desk.ask({**handle.to_json(), **about}, task.attachments)
        else:
            before = Handle.from_json(known)
            if before.data.get("asked") != handle.data["asked"]:
                raise self._place.fault(Refused, f"token {handle.token} was asked before, for something else")
            handle = before
        since, name = datetime.fromisoformat(handle.started), str(handle.data["name"])
        desk.show(request_sheet(handle.token, self._context.name, task, name, since, desk.folder))
        return handle

    # -- looking -------------------------------------------------------------------------------------------------
    async def poll(self, handle: Handle) -> Progress:
        """Look into the request's folder once; ``request`` says what is asked, and under ``differs`` what does not fit.

        Raises
        ------
        NotReachable
            The drop folder is not there.
        """
        return await self._place.run(self._look, handle, self._context.clock.now())

    def _look(self, handle: Handle, now: datetime) -> Progress:
        desk, task = self._desk(handle.token), self._task(handle.token, handle.data["asked"])
        if desk.withdrawn:
            return Progress(State.FAILED, "the request was withdrawn")
        # Somebody may have tidied the sheet away: what is asked stands in the handle too.
        self._lay_down(handle, task)
        try:
            return self._judged_now(desk, handle, task, now)
        except DataError as error:
            return self._waiting(desk, handle, task, f"differs: {error}", differs=[str(error)])
        except OSError as error:
            # Moved, or still held by the program that writes it: somebody is at work in the folder.
            why = f"a file can't be read now ({error.strerror or error})"
            return self._waiting(desk, handle, task, why, self._settings.quiet)

    def _judged_now(self, desk: Desk, handle: Handle, task: Task, now: datetime) -> Progress:
        files = desk.dropped(list(task.attachments))
        if not files:
            desk.tell("")
            self._steady.pop(handle.token, None)
            waited = (now - datetime.fromisoformat(handle.started)).total_seconds()
            left = timedelta(seconds=min(max(_SHARE * waited, LOOK), SELDOM))
            return self._waiting(desk, handle, task, "waits for a person to drop the file", left)
        signature = desk.signature(files)
        known, since = self._steady.get(handle.token, ("", now))
        if known != signature:
            since = now
            self._steady[handle.token] = signature, since
        if now - since < self._settings.quiet:
            left = self._settings.quiet - (now - since)
            return self._waiting(desk, handle, task, "a file was dropped; waiting until it is whole", left)
        known, verdict = self._judged.get(handle.token, ("", Verdict(None, ())))
        if known != signature:
            verdict = judge(task, desk.folder, files, self._window(handle, now))
            self._judged[handle.token] = signature, verdict
        word = overruled(desk, verdict)
        if isinstance(word, Acceptance):
            return Progress(State.DONE, f"accepted by {word.name}", 0.0)
        if verdict.fits:
            return Progress(State.DONE, "the file is there and is what was asked", 0.0)
        differs = [*(one.text for one in verdict.differences), *([word] if word else [])]
        return self._waiting(desk, handle, task, f"differs: {differs[0]}", differs=differs)

    def _window(self, handle: Handle, now: datetime) -> Window:
        since = datetime.fromisoformat(handle.started)
        return Window(since, now, self._settings.slack, self._settings.clock)

    def _waiting(
        self,
        desk: Desk,
        handle: Handle,
        task: Task,
        message: str,
        left: timedelta | None = None,
        differs: list[str] | None = None,
    ) -> Progress:
        request = {
            "instruction": f"{task.title}: {message}",
            "token": handle.token,
            "instrument": self._context.name,
            "operation": handle.data["name"],
            "since": handle.started,
            "folder": str(desk.folder),
            "settings": {one.name: f"{one.value} ({one.within})" for one in task.settings},
            "steps": list(task.steps),
            "differs": differs or [],
        }
        remaining = LOOK if left is None else left.total_seconds()
        return Progress(State.RUNNING, message, remaining, request=request)

    # -- taking in -----------------------------------------------------------------------------------------------
    async def fetch(self, handle: Handle, folder: Path) -> Fetched:
        """Copy what was dropped into ``folder``, judged once more; deviations that were accepted become warnings.

        Raises
        ------
        DataError
            Nothing fitting is there.
        """
        return await self._place.run(self._take, handle, folder, self._context.clock.now())

    def _take(self, handle: Handle, folder: Path, now: datetime) -> Fetched:
        desk, task = self._desk(handle.token), self._task(handle.token, handle.data["asked"])
        files = desk.dropped(list(task.attachments))
        if not files:
            raise DataError(f"{desk.folder}: nothing was dropped")
        signature = desk.signature(files)
        verdict = judge(task, desk.folder, files, self._window(handle, now))
        word = overruled(desk, verdict)
        accepted = word if isinstance(word, Acceptance) else None
        if verdict.candidate is None or not (verdict.fits or accepted):
            raise DataError(f"{desk.folder}: {'; '.join(one.text for one in verdict.differences)}")
        folder.mkdir(parents=True, exist_ok=True)
        fetched = task.store(verdict.candidate, handle, folder)
        own = [REQUEST] if accepted is None else [REQUEST, ACCEPT]
        for name in own:
            put(folder / name, (desk.folder / name).read_bytes())
        if desk.signature(files) != signature:
            raise DataError(f"{desk.folder}: the files changed while they were copied")
        if not desk.withdrawn:
            desk.end(TAKEN, f"TAKEN IN by labctl, {now:%Y-%m-%d %H:%M:%S} UTC")
        texts = [one.text for one in verdict.differences]
        summary, warnings = dict(fetched.summary), list(fetched.warnings)
        if self.role == "spectrometer":
            summary["session"] = self._place.session
        if accepted is not None:
            warnings += [f"{text}; accepted by {accepted.name}: {accepted.reason}" for text in texts]
            summary["accepted"] = {**asdict(accepted), "differences": texts}
        return replace(fetched, files=(*fetched.files, *own), summary=summary, warnings=tuple(warnings))

    # -- ending and finding --------------------------------------------------------------------------------------
    async def abort(self, handle: Handle) -> None:
        """Withdraw the request. Whether a person has begun, and stops now, can't be known; that is reported."""
        headline = (
            f"WITHDRAWN by labctl, {self._context.clock.now():%Y-%m-%d %H:%M:%S} UTC: stop the instrument if it runs, "
            "and leave the cell at open circuit"
        )
        desk = self._desk(handle.token)
        if await self._place.run(desk.end, WITHDRAWN, headline):
            message = f"request {handle.token} was withdrawn; only a person can stop what was begun by hand"
            self._context.report(Hiccup(self._context.name, "assisted", message))

    async def find(self, token: str, request: object = None) -> Handle | None:
        """Find a request by its sheet, which says all that was asked; none was asked where there is none.

        Raises
        ------
        CannotSay
            The drop folder is not reachable, or the request is damaged.
        """
        try:
            known = await self._place.run(self._desk(token).request)
            return None if known is None else Handle.from_json(known)
        except (NotReachable, DataError, KeyError) as error:
            raise self._place.fault(CannotSay, f"whether '{token}' was asked: {error}") from error

    def _desk(self, token: str) -> Desk:
        return Desk(self._settings.folder / token)
