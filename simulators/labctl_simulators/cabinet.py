"""What every simulated chamber is made of, whatever it speaks: plant, door, alarm, mains. No wire protocol here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

#: What can happen to a chamber itself, and the options of each.
BREAKDOWNS: Final = ("cold", "repaired", "door open", "door closed", "alarm", "alarm cleared", "mains lost")


class Cabinet:
    """One chamber's body.

    Parameters
    ----------
    name : str
        The station's name of the instrument, and of its thermal plant in the laboratory.
    options : mapping
        The station's ``simulate``: ``steady`` (true: it reaches its set point exactly and does not wobble),
        ``ramp_K_min`` (fastest change), ``tau_s`` (time constant).
    laboratory : Laboratory
        Gives time and the thermal plant.
    usual_alarm : str
        The alarm that ``alarm`` raises where its options name none, as this chamber words it.
    after_mains : callable
        Called when the mains have come back and the plant stands.

    Breakdowns
    ----------
    ``cold`` (neither heats nor cools, and nothing says so), ``repaired``, ``door open``, ``door closed``, ``alarm``
    (``text``; the chamber stops), ``alarm cleared``, ``mains lost`` (``seconds`` until it answers again, 0; it stands
    afterwards).
    """

    def __init__(
        self,
        name: str,
        options: Mapping[str, Any],
        laboratory: Any,
        *,
        usual_alarm: str,
        after_mains: Callable[[], None],
    ) -> None:
        self._name = name
        self._laboratory = laboratory
        self._usual_alarm = usual_alarm
        self._after_mains = after_mains
        self._answers_from = -1e9
        self.plant = laboratory.chamber(name)
        self.plant.steady = bool(options.get("steady", False))
        if "ramp_K_min" in options or "tau_s" in options:
            self.plant.build(ramp_K_min=options.get("ramp_K_min"), tau_s=options.get("tau_s"))
        self.alarm = ""

    def start(self) -> None:
        """Let the laboratory break it."""
        self._laboratory.register_breakdowns(self._name, self.break_down)

    @property
    def dark(self) -> bool:
        """Whether its controller is still starting, and says nothing."""
        return bool(self._laboratory.time() < self._answers_from)

    def raise_alarm(self, text: str = "") -> None:
        """Let an alarm stand; the chamber stops."""
        self.alarm = text or self._usual_alarm
        self.plant.stop()

    def lose_mains(self, seconds: float = 0.0) -> None:
        """Mains fail and return: the chamber stands, and says nothing for ``seconds`` while it starts."""
        self.plant.stop()
        self._answers_from = self._laboratory.time() + seconds
        self._after_mains()

    def break_down(self, kind: str, options: Mapping[str, Any]) -> None:
        """Break down in one of the ways of :data:`BREAKDOWNS`. Raises ValueError for another."""
        if kind in ("cold", "repaired"):
            self.plant.break_down(broken=kind == "cold")
        elif kind in ("door open", "door closed"):
            self.plant.door(is_open=kind == "door open")
        elif kind == "alarm":
            self.raise_alarm(str(options.get("text", "")))
        elif kind == "alarm cleared":
            self.alarm = ""
        elif kind == "mains lost":
            self.lose_mains(float(options.get("seconds", 0.0)))
        else:
            raise ValueError(f"unknown breakdown {kind!r} of a chamber; known are {', '.join(BREAKDOWNS)}")

    def save(self) -> dict[str, Any]:
        """Give what the plant does not save."""
        return {"alarm": self.alarm, "answers_from": self._answers_from}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`save` gave."""
        self.alarm = str(state["alarm"])
        self._answers_from = float(state.get("answers_from", -1e9))
