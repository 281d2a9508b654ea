"""A MACCOR Series 4000 tester on two loopback ports.

Known, and tested with a published client: transport and framing of both ports, the message catalogue, status codes,
state rules, procedure files, the export's columns. Guessed: error objects, refusal words on the JSON port, binary
layouts that the manual's excerpt does not give, that safety limits fall back on reset; each module says its own. Left
out: smart-battery channels, regimes, the UDP port.

Every channel's current is wrong by a factor of its own for charge and for discharge (0.1 % standard deviation), which
the tester does not know of: it reports the nominal current.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labctl_simulators.macnet import binary, messages
from labctl_simulators.macnet.clients import Client
from labctl_simulators.macnet.settings import Settings
from labctl_simulators.macnet.tester import Tester
from labctl_simulators.macnet.wire import BinaryConnection, JsonConnection, Port

_BREAKDOWNS = ("stands", "blind", "stubborn", "problem", "cleared", "shows", "error", "repaired")


class MacnetSimulator:
    """The tester that a station's entry describes.

    Parameters
    ----------
    name : str
        The station's name of the instrument; channels are leads of that name.
    settings : mapping
        The station's entry: ``channels``, ``export_folder`` (relative to the laboratory's folder). Under ``simulate``:
        ``channels`` (how many the tester has), ``json_port``, ``binary_port`` (free ones by default),
        ``procedure_folder``, ``current_error`` (relative standard deviation between channels, 0.001), and
        what :class:`labctl_simulators.macnet.settings.Settings` names.
    laboratory
        The virtual laboratory.

    Breakdowns
    ----------
    Each takes ``channel``: ``stands`` (the test's clock and values stand while the channel says that it runs),
    ``blind`` (it notices no end and no safety limit), ``stubborn`` (it agrees to be suspended and reset, and does
    neither), ``problem`` (it ends with the fault ``code``), ``cleared`` (somebody resets it at the tester's screen),
    ``shows`` (``Stat`` is ``code`` to every client, whatever the channel does), ``repaired``. Without a channel:
    ``error`` (the next ``count`` requests on the JSON port get an error object).
    """

    def __init__(self, name: str, settings: Mapping[str, Any], laboratory: Any) -> None:
        options = settings.get("simulate") or {}
        self._name = name
        self._laboratory = laboratory
        self._wanted = int(options.get("json_port", 0)), int(options.get("binary_port", 0))
        folder: Path = laboratory.folder
        exports = folder / str(settings.get("export_folder", f"{name}-export"))
        procedures = folder / str(options.get("procedure_folder", f"{name}-procedur"))
        count = int(options.get("channels", max(16, _highest(settings.get("channels", 16)))))
        self.tester = Tester(laboratory, name, count, procedures, exports, Settings.read(options))
        clients = self.tester.clients
        self._json = Port(lambda open_: JsonConnection(open_, clients, self._answer_json))
        self._binary = Port(lambda open_: BinaryConnection(open_, clients, self._answer_binary))

    @property
    def procedure_folder(self) -> Path:
        """Where the tester keeps its procedures."""
        return self.tester.procedures

    def _answer_json(self, request: Any, client: Client) -> Any:
        return messages.answer(self.tester, request, client)

    def _answer_binary(
        self, client: Client, message: tuple[int, int], channel: int, length: int, payload: bytes
    ) -> bytes:
        return binary.answer(self.tester, client, message, channel, length, payload)

    async def start(self) -> dict[str, Any]:
        """Listen; give what a client's settings need to reach it."""
        self.tester.exports.mkdir(parents=True, exist_ok=True)
        self.tester.procedures.mkdir(parents=True, exist_ok=True)
        for channel in self.tester.channels:
            # Each for itself: bringing one cell up to date must not cost a look at every other.
            self._laboratory.register_source(channel.source, channel.bring_up)
        self._laboratory.register_tests(self._name, self.tester.tests)
        self._laboratory.register_breakdowns(self._name, self._break_down)
        json_port = await self._json.start(self._wanted[0])
        binary_port = await self._binary.start(self._wanted[1])
        return {
            "address": "127.0.0.1",
            "json_port": await self._laboratory.expose(f"{self._name}/json", json_port, "macnet-json"),
            "binary_port": await self._laboratory.expose(f"{self._name}/binary", binary_port, "macnet-binary"),
            "export_folder": str(self.tester.exports.resolve()),
        }

    def _break_down(self, kind: str, options: Mapping[str, Any]) -> None:
        if kind not in _BREAKDOWNS:
            raise ValueError(f"unknown breakdown {kind!r} of a channel; known are {', '.join(_BREAKDOWNS)}")
        if kind == "error":
            self.tester.stumble(int(options.get("count", 1)))
            return
        channel = int(options.get("channel", 1))
        if not 1 <= channel <= len(self.tester.channels):
            raise ValueError(f"the tester has no channel {channel}")
        if kind == "cleared":
            self.tester.clear(self.tester.channels[channel - 1])
            return
        if kind in ("shows", "repaired"):
            self.tester.misstate(self.tester.channels[channel - 1], int(options["code"]) if kind == "shows" else None)
        if kind != "shows":
            self.tester.channels[channel - 1].break_down(kind, int(options.get("code", 0)))

    async def stop(self) -> None:
        """Stop listening. Idempotent."""
        self.tester.direct.stop()
        await self._json.stop()
        await self._binary.stop()

    def save(self) -> dict[str, Any]:
        """Whole state, running tests included, as JSON values."""
        return self.tester.save()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state of :meth:`save`, after the laboratory has taken up its own."""
        self.tester.restore(state)


def _highest(channels: Any) -> int:
    if isinstance(channels, Sequence) and not isinstance(channels, str):
        return max((_highest(part) for part in channels), default=1)
    return max(int(part) for part in str(channels).replace("-", ",").split(","))
