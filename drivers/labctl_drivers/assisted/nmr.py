"""An NMR acquisition asked of a person: the sheet, and how a dropped Bruker dataset is judged and taken in."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from labctl.errors import DataError
from labctl.instruments import AcquisitionRequest, Fetched, Handle
from labctl.units import show
from labctl_drivers.assisted.desk import content_of
from labctl_drivers.assisted.findings import Candidate, Difference, Setting, Window
from labctl_drivers.assisted.tolerances import NMR
from labctl_drivers.bruker.dataset import parse_parameters, scalar
from labctl_drivers.bruker.fetching import check_expno, replace_folder, write_expno
from labctl_drivers.bruker.parameters import parameters_of

_MARKS: Final = frozenset({"acqus", "acqu", "fid", "ser"})
_STARTED: Final = re.compile(r"started at\s+(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(\.\d+)?\s*([+-]\d{4})")
_TEXTS: Final = ("PULPROG", "NUC1")
_SERIES: Final = ("pulse_lengths", "recycle_delays")
#: What must not change within a series, since its points are one curve.
_SAME: Final = ("D 1", "PLW 1", "RG")
_UNITS: Final = {"SWH": "Hz", "D 1": "s", "P 1": "us", "PLW 1": "W", "O1P": "ppm", "PLW 9": "W",
                 "CNST 20": "ppm", "D 20": "s", "D 6": "s", "DE": "us"}  # fmt: skip


class NmrTask:
    """One acquisition, or one series; see ``findings.Task``.

    Parameters
    ----------
    token : str
        Must stand in the title, or be the dataset's name.
    request : AcquisitionRequest
        What is asked.
    """

    def __init__(self, token: str, request: AcquisitionRequest) -> None:
        self._token = token
        self._request = request
        self.asked: Mapping[str, Any] = asdict(request)
        series = len(request.pulse_lengths)
        self.title = f"{request.nucleus} NMR" + (f", {series} pulse lengths" if series > 1 else "")
        self.settings: Sequence[Setting] = self._settings()
        expnos = "EXPNO 1" if series == 1 else f"EXPNO 1 to {series}, the pulse lengths in the order given"
        self.steps: Sequence[str] = (
            f"put {request.sample} into the probe, tune and match",
            f"make a dataset named {token}, {expnos}",
            f"write into its title: {request.name}, sample {request.sample}, token {token}",
            "set what stands above, acquire with zg, and let it end by itself",
            "copy the whole dataset folder here when the acquisition is over",
        )
        self.attachments: Mapping[str, bytes] = {}

    @classmethod
    def again(cls, token: str, asked: Mapping[str, Any]) -> NmrTask:
        """Make it from what a handle or a request keeps."""
        return cls(token, AcquisitionRequest(**{**asked, **{key: tuple(asked.get(key, ())) for key in _SERIES}}))

    def _settings(self) -> list[Setting]:
        asked = _asked(self._request, self._request.pulse_lengths[0])
        lines = []
        for name, value in asked.items():
            if name == "P 1":
                value = ", ".join(show(pulse, "us", 6).removesuffix(" us") for pulse in self._request.pulse_lengths)
            elif name not in _TEXTS:
                value = f"{float(value):.10g}"
            unit = f" {_UNITS[name]}" if name in _UNITS else ""
            note = f" (dwell time {show(self._request.dwell_time, 'us')})" if name == "SWH" else ""
            lines.append(Setting(name.replace(" ", ""), f"{value}{unit}{note}", NMR[name].text, NMR[name].why))
        if self._request.receiver_gain is None:
            why = "the gain is read from the file, and asked of the later spectra of this cell"
            lines.append(Setting("RG", "as rga finds it", "free", why))
        return lines

    # -- judging -------------------------------------------------------------------------------------------------
    def candidates(self, folder: Path, files: Sequence[Path]) -> list[Candidate]:
        """Each dropped dataset, with those of its EXPNOs that carry our token, or else all."""
        expnos = {file.parent for file in files if file.name in _MARKS}
        datasets: dict[Path, list[Path]] = {}
        for expno in expnos:
            datasets.setdefault(expno if expno == folder else expno.parent, []).append(expno)
        found = []
        for dataset, members in sorted(datasets.items()):
            ordered = sorted(members, key=_number)
            titled = [expno for expno in ordered if self._token in _title(expno)]
            parts = tuple(titled if len(titled) == len(self._request.pulse_lengths) else ordered)
            found.append(Candidate(_below(folder, dataset), parts))
        return found

    def check(self, candidate: Candidate, window: Window) -> list[Difference]:
        """Compare every EXPNO with the request. Raises ``DataError`` for a dataset that is not complete."""
        wanted = len(self._request.pulse_lengths)
        if len(candidate.parts) != wanted:
            plural = "s" if len(candidate.parts) != 1 else ""
            return [
                Difference(f"EXPNOs: {len(candidate.parts)} dataset{plural} found, {wanted} asked", final=True),
            ]
        found: list[Difference] = []
        seen: list[dict[str, str | None]] = []
        named = candidate.parts[0].parent.name == self._token and candidate.where != "."
        for expno, pulse in zip(candidate.parts, self._request.pulse_lengths, strict=True):
            content = _content(expno)
            if "ser" in content and "fid" not in content:
                raise DataError(f"{expno.name}: a two-dimensional dataset (ser); labctl asks for single spectra")
            check_expno(expno.name, content, {})
            if not named and self._token not in _title(expno):
                title = " / ".join(_title(expno).split("\n"))[:80].strip() or "nothing"
                found.append(Difference(f"title: '{title}' found, the token {self._token} asked (EXPNO {expno.name})"))
            used = parse_parameters(content["acqus"].decode("utf-8", "replace"))
            values = {name: scalar(used, name) for name in ("BF1", *NMR) if name != "O1P"}
            values["O1P"] = _shift(scalar(used, "O1"), values["BF1"])
            seen.append(values)
            found += _compare(_asked(self._request, pulse), values, f"acqus of EXPNO {expno.name}")
            found += window.check(*_times(content), f"EXPNO {expno.name}")
        found += [
            Difference(f"{name.replace(' ', '')}: differs within the series, {', '.join(sorted(different))}")
            for name in _SAME
            if len(different := {str(values[name]) for values in seen}) > 1
        ]
        return found

    # -- taking in -----------------------------------------------------------------------------------------------
    def store(self, candidate: Candidate, handle: Handle, folder: Path) -> Fetched:
        """Copy every EXPNO untouched to ``<token>/<n>``, counted in the order of the request."""
        fresh, target = folder / f"{self._token}.partial", folder / self._token
        shutil.rmtree(fresh, ignore_errors=True)
        sent: list[dict[str, str]] = []
        used: list[dict[str, str]] = []
        files: list[str] = []
        for number, (expno, pulse) in enumerate(zip(candidate.parts, self._request.pulse_lengths, strict=True), 1):
            content = _content(expno)
            read = check_expno(expno.name, content, {})
            parameters = parse_parameters(content["acqus"].decode("utf-8", "replace"))
            sent.append(parameters_of(self._request, pulse, float(read["BF1"])))
            used.append(read | {name: value for name in sent[-1] if (value := scalar(parameters, name)) is not None})
            write_expno(fresh / str(number), content)
            files += [f"{self._token}/{number}/{name}" for name in content]
        replace_folder(fresh, target)
        return Fetched(
            files=tuple(sorted(files)),
            sent=_merged(sent),
            read_back=_merged(used),
            summary={
                "expnos": list(range(1, len(used) + 1)),
                "scans": int(float(used[0]["NS"])),
                "pulse_us": [float(values["P 1"]) for values in used],
                "receiver_gain": float(used[0]["RG"]),
                "dropped": [f"{candidate.where}/{expno.name}" for expno in candidate.parts],
            },
        )


def _asked(request: AcquisitionRequest, pulse: float) -> dict[str, str]:
    """Give the parameters of one EXPNO by Bruker name, the carrier as ``O1P`` in ppm."""
    parameters = parameters_of(request, pulse, 1.0)
    del parameters["O1"]
    return parameters | {"O1P": f"{request.carrier_ppm:.10g}"}


def _compare(asked: Mapping[str, str], found: Mapping[str, str | None], where: str) -> list[Difference]:
    differences = []
    for name, wanted in asked.items():
        value = found.get(name)
        if value is None:
            same = False
        elif name in _TEXTS:
            same = value.strip() == wanted
        else:
            try:
                same = NMR[name].allows(float(wanted), float(value))
            except ValueError:
                same = False
        if not same:
            unit = f" {_UNITS[name]}" if name in _UNITS else ""
            shown = "nothing" if value is None else f"{value}{unit}"
            within = f" ({NMR[name].text})" if name not in _TEXTS and NMR[name].text != "exactly" else ""
            text = f"{name.replace(' ', '')}: {shown} found, {wanted}{unit} asked{within} ({where})"
            differences.append(Difference(text))
    return differences


def _shift(offset: str | None, basic: str | None) -> str | None:
    try:
        return None if offset is None or basic is None else f"{float(offset) / float(basic):.10g}"
    except (ValueError, ZeroDivisionError):
        return None


def _times(content: Mapping[str, bytes]) -> tuple[datetime | None, datetime | None]:
    """Start by the audit trail, end by DATE: both tell their time zone or are UTC."""
    trail = content.get("audita.txt", b"").decode("utf-8", "replace")
    starts = [datetime.strptime(f"{date} {zone}", "%Y-%m-%d %H:%M:%S %z") for date, _, zone in _STARTED.findall(trail)]
    date = scalar(parse_parameters(content["acqus"].decode("utf-8", "replace")), "DATE")
    ended = datetime.fromtimestamp(int(date), UTC) if date is not None and date.isdigit() else None
    return (starts[-1] if starts else None), ended


def _content(expno: Path) -> dict[str, bytes]:
    return {str(file.relative_to(expno).as_posix()): content_of(file) for file in sorted(_files(expno))}


def _files(expno: Path) -> list[Path]:
    """Files of the EXPNO itself and its processed data, but not of an EXPNO that lies below it by mistake."""
    own = [path for path in expno.iterdir() if path.is_file()]
    processed = expno / "pdata"
    return own + ([path for path in processed.rglob("*") if path.is_file()] if processed.is_dir() else [])


def _title(expno: Path) -> str:
    """Text of the title in the code page of whoever wrote it; empty where there is none."""
    for number in ("1", "2"):
        title = expno / "pdata" / number / "title"
        if title.is_file():
            return title.read_text(encoding="utf-8", errors="replace")
    return ""


def _number(expno: Path) -> tuple[int, str]:
    return (int(expno.name) if expno.name.isdigit() else 1 << 30, expno.name)


def _below(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _merged(runs: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """One value where all EXPNOs agree, a list where they differ."""
    merged: dict[str, Any] = {}
    for name in runs[0]:
        values = [run.get(name) for run in runs]
        merged[name] = values[0] if len(set(values)) == 1 else values
    return merged
