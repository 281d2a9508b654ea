"""What ``labctl instruments check`` asks a tester beyond its identity: channels, limits, calibration, clock.

Questions only, unless it is to be exercised: then the safety limits that an idle channel has are written as they are,
and read back. Meanings of the messages: the vendor's MacNet help.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from labctl.instruments.common import DriverContext, Inspection
from labctl.instruments.faults import Garbled, Refused
from labctl_drivers.maccor import codes
from labctl_drivers.maccor.channels import LIMITS, Channels
from labctl_drivers.maccor.session import Session
from labctl_drivers.maccor.station import ChannelSpec, Settings

#: A difference of clocks, s, that files and live values can't hide; the tester tells whole seconds.
_CLOCK_WITHIN: Final = 30.0
_BROKEN: Final = frozenset({codes.PROBLEM, 6, 9, 10, 11, 16})
#: Real seconds for asking when channels were calibrated; of a large tester the rest is left out.
_CALIBRATION: Final = 3.0

UNVERIFIED: Final = (
    "the sign of the live current in a discharge is taken from RF1; compare one charge and one discharge with MacTest",
    "whether safety limits outlive a reset is unknown; they are set and read back before every start",
    "that the tester's compiler takes a generated procedure; the dry start before every start shows it",
    "noise near 1 µA in the automatic range is unknown; look at the data sheet, and keep the guard time of holds",
    "the watchdog of direct mode can't be read; look at MacNetDirectModeWD in System.ini before driving by hand",
    "that timestamps are local time of the tester's PC without a zone; compare the clock offset with that PC's zone",
)

T = TypeVar("T")


async def inspect(context: DriverContext, session: Session, settings: Settings, *, exercise: bool) -> Inspection:
    """Ask; see :class:`labctl.instruments.Inspectable`."""
    channels = settings.channels
    answers = {channel: await session.ask(3, 1, Chan=channel - 1) for channel in channels}
    specs = {channel: _described(answer) for channel, answer in answers.items()}
    limits = {channel: _limits(answer) for channel, answer in answers.items()}
    ours = Channels(context, session, channels)
    states = await ours.statuses()
    facts = {f"channels {_list(held)}": words for words, held in _alike(specs).items()}
    words = {channel: codes.status_word(status) for channel, status in states.items()}
    facts |= {"state": "; ".join(f"{_list(held)} {word}" for word, held in _alike(words).items())}
    facts["calibrated"] = await _calibration(context, session, channels)
    safety = {f"limits of {_list(held)}": words for words, held in _alike(limits).items()}
    offset = await _clock_offset(context, session, settings)
    broken = [channel for channel, state in states.items() if state in _BROKEN]
    unsafe = [f"channel {_list(broken)}: {words[broken[0]]}; clear it at the tester"] if broken else []
    if abs(offset) > _CLOCK_WITHIN:
        unsafe.append(
            f"the tester's clock is {offset:+.0f} s off; set it, or say 'tester_clock' in the station file as that "
            "PC's zone is"
        )
    if exercise:
        facts["exercised"] = await _rewrite(context, ours, states, answers)
    return Inspection(facts, safety, offset, tuple(unsafe), UNVERIFIED)


def _described(answer: Mapping[str, Any]) -> str:
    spec = ChannelSpec.read(answer)
    scales = ", ".join(_amperes(full) for _, full in spec.scales)
    return f"{spec.voltage_min:g} V to {spec.voltage_max:g} V; ranges {scales}"


def _limits(answer: Mapping[str, Any]) -> str:
    try:
        high, low, charge, discharge, power, drawn = (float(answer[key]) for key in LIMITS)
    except (KeyError, TypeError, ValueError) as error:
        raise Garbled(f"the answer to (3,1) lacks or garbles {error}") from error
    currents = f"charge {_amperes(charge)}, discharge {_amperes(discharge)}"
    return f"{low:g} V to {high:g} V, {currents}, {power:g} W and {drawn:g} W"


def _amperes(value: float) -> str:
    for unit, factor in (("A", 1.0), ("mA", 1e-3)):
        if value >= 0.999 * factor:
            return f"{value / factor:.4g} {unit}"
    return f"{value / 1e-6:.4g} µA"


async def _calibration(context: DriverContext, session: Session, channels: Sequence[int]) -> str:
    """Give the oldest date of (3,2), in words; a tester that does not tell is not at fault."""
    dates: list[str] = []
    asked: list[int] = []
    began = context.clock.now()
    try:
        for channel in channels:
            answer = await session.ask(3, 2, Chan=channel - 1)
            dates += [str(value)[:10] for key, value in answer.items() if key[:4] in ("VChg", "VDis", "IChg", "IDis")]
            asked.append(channel)
            if (context.clock.now() - began).total_seconds() > context.clock.patience(_CALIBRATION):
                break
    except Refused:
        return "the tester does not tell"
    if not dates:
        return "the tester does not tell"
    oldest = min(dates)
    said = "never, of one range at least" if oldest.startswith("1970") else f"{oldest} or later, every range"
    return said if len(asked) == len(channels) else f"{said} (channels {_list(asked)} asked)"


async def _clock_offset(context: DriverContext, session: Session, settings: Settings) -> float:
    before = context.clock.now()
    told = await session.ask_as(_tester_time, 4, 7, Chan=settings.channels[0] - 1)
    middle = before + (context.clock.now() - before) / 2
    # Whole seconds are told, cut off: on average the clock is half a second further.
    return (told - settings.tester_clock - middle).total_seconds() + 0.5


def _tester_time(answer: Mapping[str, Any]) -> datetime:
    try:
        return datetime.fromisoformat(str(answer["TesterTime"])).replace(tzinfo=UTC)
    except (KeyError, ValueError) as error:
        raise Garbled(f"the answer to (4,7) lacks or garbles {error}") from error


async def _rewrite(
    context: DriverContext, ours: Channels, states: Mapping[int, int], answers: Mapping[int, Mapping[str, Any]]
) -> str:
    """Write the limits of one idle channel as they are, and read them back. Raises ``Refused`` where they differ."""
    idle = [channel for channel, state in states.items() if state in codes.IDLE]
    channel = next((one for one in idle if one in context.free), idle[0] if idle else None)
    if channel is None:
        return "nothing: no channel is idle"
    await ours.set_limits(channel, {key: float(answers[channel][key]) for key in LIMITS})
    return f"limits of channel {channel} written as they were, and read back"


def _alike(words: Mapping[int, T]) -> dict[T, list[int]]:
    """Gather the channels of which the same is said."""
    found: dict[T, list[int]] = {}
    for channel, said in words.items():
        found.setdefault(said, []).append(channel)
    return found


def _list(channels: Sequence[int]) -> str:
    """Write channels as people do: ``1-8, 12``."""
    parts: list[list[int]] = []
    for channel in channels:
        if parts and channel == parts[-1][-1] + 1:
            parts[-1].append(channel)
        else:
            parts.append([channel])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
