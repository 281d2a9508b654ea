"""Which of the dropped files is the measurement that was asked for, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labctl.errors import DataError
from labctl_drivers.assisted.desk import Acceptance, Desk
from labctl_drivers.assisted.findings import Candidate, Difference, Task, Window
from labctl_drivers.assisted.sheet import differences_text


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the dropped files are worth.

    Attributes
    ----------
    candidate : Candidate or None
        The measurement that counts; None where none or several could.
    differences : tuple of Difference
        What is wrong with it.
    """

    candidate: Candidate | None
    differences: tuple[Difference, ...]

    @property
    def fits(self) -> bool:
        """Whether it is just what was asked."""
        return self.candidate is not None and not self.differences

    @property
    def final(self) -> bool:
        """Whether nobody can accept it."""
        return self.candidate is None or any(one.final for one in self.differences)


def judge(task: Task, folder: Path, files: Sequence[Path], window: Window) -> Verdict:
    """Judge every dropped measurement; the one that fits counts, if just one does."""
    candidates = task.candidates(folder, files)
    if not candidates:
        names = ", ".join(file.name for file in files[:3])
        return Verdict(None, (Difference(f"nothing that is a measurement among {names}", final=True),))
    judged: list[tuple[Candidate, tuple[Difference, ...]]] = []
    for candidate in candidates:
        try:
            judged.append((candidate, tuple(task.check(candidate, window))))
        except (DataError, ValueError) as error:
            judged.append((candidate, (Difference(str(error), final=True),)))
    fitting = [candidate for candidate, differences in judged if not differences]
    if len(fitting) == 1:
        return Verdict(fitting[0], ())
    if len(judged) == 1:
        return Verdict(*judged[0])
    several = ", ".join(one.where for one in fitting or candidates)
    listed = () if fitting else tuple(one for _, differences in judged for one in differences)
    left = Difference(
        f"{len(fitting or candidates)} measurements are here ({several}): leave the one that counts", True
    )
    return Verdict(None, (*listed, left))


def overruled(desk: Desk, verdict: Verdict) -> Acceptance | str:
    """Tell what differs in ``DIFFERS.txt``, and give a person's word that it is accepted.

    Returns
    -------
    Acceptance or str
        The word, or what is wrong with it; an empty text where there is none, or where nobody can accept.
    """
    desk.tell(differences_text(verdict.differences))
    return "" if verdict.fits or verdict.final else desk.acceptance()
