"""``labctl analyze --design``: how many cells an experiment needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from labctl.cli.output import console, put_json
from labctl.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

_POWERS: Final = (0.5, 0.8, 0.9, 0.95, 0.99)


def design(
    effect: float | None,
    sd: float | None,
    *,
    power: float,
    alpha: float,
    known_from: int | None,
    as_json: bool,
) -> None:
    """Print the cells needed per group for a wanted effect.

    Raises
    ------
    UsageError
        Effect or spread was not given.
    AnalysisError
        A number makes no sense.
    """
    from labctl.analysis import design as planning

    if effect is None or sd is None:
        raise UsageError("--design needs --effect and --sd", hint="for example --design --effect 2 --sd 1, both in "
                         "percent of the first charge")  # fmt: skip
    found = planning.cells_needed(effect, sd, sd_known_from=known_from, alpha=alpha, wanted_power=power)
    powers = sorted({*_POWERS, power})
    needed = [(one, planning.cells_needed(effect, sd, alpha=alpha, wanted_power=one).cells) for one in powers]
    around = sorted({2, 3, max(found.cells - 1, 2), found.cells, found.cells + 1, 2 * found.cells})
    reached = [
        (cells, planning.power(effect, sd, cells, alpha=alpha),
         planning.smallest_effect(sd, cells, alpha=alpha, wanted_power=power))
        for cells in around
    ]  # fmt: skip
    data: dict[str, Any] = {
        "schema": "labctl.design/1",
        "effect": effect,
        "sd": sd,
        "alpha": alpha,
        "wanted_power": power,
        "cells_per_group": found.cells,
        "power": found.power,
        "sd_known_from": known_from,
        "cells_per_group_if_unlucky": found.cells_if_unlucky,
        "needed": [{"power": one, "cells_per_group": cells} for one, cells in needed],
        "reached": [
            {"cells_per_group": cells, "power": one, "smallest_effect": smallest} for cells, one, smallest in reached
        ],
        "sentence": found.sentence,
    }
    if as_json:
        put_json(data)
        return
    out = console()
    out.print(f"{found.sentence}.")
    out.print()
    out.print(_table("to find it with a\nprobability of", "cells in\neach group", None,
                     [(f"{one:.0%}", str(cells)) for one, cells in needed]))  # fmt: skip
    head = f"smallest effect\nfound in {power:.0%}"
    out.print(_table("cells in\neach group", "probability\nto find it", head,
                     [(str(cells), f"{one:.0%}", f"{smallest:.3g}") for cells, one, smallest in reached]))  # fmt: skip


def _table(first: str, second: str, third: str | None, rows: list[tuple[str, ...]]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    for head in (first, second, third):
        if head is not None:
            table.add_column(head, justify="right")
    for row in rows:
        table.add_row(*row)
    return table
