"""What labctl started on a BioLogic instrument, written down before it is started: a file for each run.

The instrument keeps no name of ours, so these files say which token a channel runs. They are written whole and forced
to the disk before the order to start: where there is no file, the run was never started. What the channel says of
itself decides the rest.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from labctl.errors import DataError
from labctl_drivers.biologic.backend import Run, technique_from_json, technique_to_json

TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


class Runs:
    """The runs of one instrument, in one folder; labctl is the only writer."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, tuple[Run, dict[str, Any]]] = {}

    def path(self, token: str, ending: str) -> Path:
        """Path of a file of a run."""
        return self._folder / f"{token}.{ending}"

    def write(self, run: Run, facts: Mapping[str, Any]) -> None:
        """Write down a run that is about to be started, and that it is the newest on its channel."""
        self._known[run.token] = run, dict(facts)
        self._save(run.token)
        _replace(self._folder / f"channel-{run.channel}.json", {"token": run.token})

    def note(self, token: str, **facts: Any) -> None:
        """Add to what is known of a run."""
        if self.read(token) is not None:
            self._known[token][1].update(facts)
            self._save(token)

    def forget(self, token: str) -> None:
        """Take back a run that was declined: it is as if it had never been asked for."""
        self._known.pop(token, None)
        self.path(token, "json").unlink(missing_ok=True)

    def read(self, token: str) -> Run | None:
        """Give a run, None where there is none.

        Raises
        ------
        DataError
            Its file is not readable.
        """
        if not TOKEN.match(token):
            return None
        if token not in self._known:
            path = self.path(token, "json")
            try:
                data = json.loads(path.read_text(encoding="utf-8"))
                run = Run(
                    token=data["token"],
                    channel=int(data["channel"]),
                    techniques=tuple(technique_from_json(one) for one in data["techniques"]),
                    begun=datetime.fromisoformat(data["begun"]),
                    sent=data["sent"],
                )
                self._known[token] = run, dict(data["facts"])
            except FileNotFoundError:
                return None
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise DataError(f"{path}: what was started can't be read ({error})") from error
        return self._known[token][0]

    def facts(self, token: str) -> Mapping[str, Any]:
        """What is known of a run besides; empty where there is none."""
        return self._known[token][1] if self.read(token) is not None else {}

    def newest(self, channel: int) -> str | None:
        """Token of what was last put on a channel."""
        try:
            found = json.loads((self._folder / f"channel-{channel}.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise DataError(f"{self._folder}: what channel {channel} runs can't be read ({error})") from error
        return str(found["token"])

    def is_newest(self, run: Run) -> bool:
        """Whether a run is what was last put on its channel, as far as is known. Raises as :meth:`newest`."""
        return self.newest(run.channel) in (None, run.token)

    def _save(self, token: str) -> None:
        run, facts = self._known[token]
        _replace(
            self.path(token, "json"),
            {
                "token": run.token,
                "channel": run.channel,
                "begun": run.begun.isoformat(),
                "techniques": [technique_to_json(one) for one in run.techniques],
                "sent": dict(run.sent),
                "facts": facts,
            },
        )


def _replace(path: Path, data: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(data, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
