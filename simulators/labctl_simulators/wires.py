"""The wires of a virtual laboratory: where clients find its servers, and the faults that are put on what they say."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from labctl_simulators.dialects import DIALECTS
from labctl_simulators.faults import MEANT, FaultPlan, FaultProxy


class NotPossible(ValueError):
    """Something that a laboratory cannot do, such as putting two cells on one slot."""


class Wires(ABC):
    """What stands between the servers of a laboratory and their clients.

    Parameters
    ----------
    seed : int
        Of faults that come by chance.
    clock
        ``patience`` gives real seconds for those of a wire.
    planned : mapping
        Faults by instrument, as in the description of a laboratory.
    faults : bool
        Whether fault proxies stand in front of all servers, not only where faults are planned.
    """

    def __init__(self, seed: int, clock: Any, planned: Mapping[str, Any], *, faults: bool) -> None:
        self.seed, self.clock = seed, clock
        self.resumed = False
        self._faults = faults
        self._plans: dict[str, FaultPlan] = {}
        self._proxies: list[FaultProxy] = []
        self._wires: list[tuple[str, str]] = []
        self._planned = planned
        self._to_come: list[asyncio.TimerHandle] = []
        self._restarts: dict[str, Callable[[], Awaitable[None] | None]] = {}
        self._restarting: set[asyncio.Future[None]] = set()

    @abstractmethod
    def time(self) -> float:
        """Simulated seconds since the laboratory's beginning."""

    @abstractmethod
    def record(self, instrument: str, event: str, **data: Any) -> None:
        """Write down what happened."""

    async def expose(self, name: str, port: int, wire: str = "") -> int:
        """Give the port at which clients find the server ``name`` that listens on loopback ``port``.

        Several servers of one instrument are told apart as ``maccor/json`` and ``maccor/binary``; a fault for
        ``maccor`` meets whichever speaks next. ``wire`` names its language among those of
        :mod:`labctl_simulators.dialects`; without it no fault that has a meaning can be put on it.
        """
        instrument = name.partition("/")[0]
        if not (self._faults or instrument in self._planned):
            return port
        self._wires.append((name, wire))
        plans = [self._plan(key) for key in dict.fromkeys((name, instrument))]
        proxy = FaultProxy(
            port,
            *plans,
            noticed=lambda kind: self._met(instrument, kind),
            dialect=DIALECTS[wire],
            patience=self.clock.patience,
            clients=lambda count: self.record("wires", "clients", server=name, count=count),
        )
        self._proxies.append(proxy)
        return await proxy.start()

    def _plan(self, key: str) -> FaultPlan:
        """Give the plan of an instrument or of one of its ports; a new one begins with what the description says."""
        if key not in self._plans:
            plan = self._plans[key] = FaultPlan(f"{self.seed}/{key}")
            for entry in self._planned.get(key, ()):
                seconds = float(entry["seconds"])
                if "share" in entry:
                    plan.scatter((entry["kind"],), float(entry["share"]), seconds)
                elif (wait := float(entry["after_s"]) - self.time()) >= 0 or not self.resumed:
                    # What was due before the laboratory was saved has happened.
                    later = asyncio.get_running_loop().call_later
                    self._to_come.append(later(max(wait, 0.0), plan.inject, entry["kind"], entry["count"], seconds))
        return self._plans[key]

    def register_restart(self, instrument: str, restart: Callable[[], Awaitable[None] | None]) -> None:
        """Say what an instrument loses when it reboots; without, it only is away for a while."""
        self._restarts[instrument] = restart

    def _met(self, instrument: str, kind: str) -> None:
        self.record(instrument, "fault", kind=kind)
        if kind == "reboot" and instrument in self._restarts:
            restarting = self._restarts[instrument]()
            if restarting is not None:
                task = asyncio.ensure_future(restarting)
                self._restarting.add(task)
                task.add_done_callback(self._restarting.discard)

    def inject(self, instrument: str, kind: str, count: int = 1, seconds: float = 5.0) -> None:
        """Spoil what an instrument says next; kinds as in :class:`labctl_simulators.faults.FaultProxy`.

        Raises
        ------
        NotPossible, ValueError
            Without a proxy in front of that instrument; for an unknown kind.
        """
        plan = self._plans.get(instrument)
        if plan is None:
            known = ", ".join(self._plans) or "none, this laboratory runs without fault proxies"
            raise NotPossible(f"no fault can be put on {instrument!r}; instruments with a proxy: {known}")
        if kind in MEANT and not any(
            wire for name, wire in self._wires if instrument in (name, name.partition("/")[0])
        ):
            raise NotPossible(f"{kind} needs the language of the wire, which is not known for {instrument!r}")
        plan.inject(kind, count, seconds)

    async def close_wires(self) -> None:
        """Close all proxies; faults that were to come do not."""
        for timer in self._to_come:
            timer.cancel()
        self._to_come.clear()
        await asyncio.gather(*self._restarting, return_exceptions=True)
        for proxy in self._proxies:
            await proxy.stop()
        self._proxies.clear()
