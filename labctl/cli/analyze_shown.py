"""How the results of an evaluation look in a terminal: tables that fit 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from labctl.cli.output import console

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

SHARES: Final = ("reversible", "excess", "dead", "interphase")
#: Longer records are shown by their first and last cycles.
_MOST_CYCLES: Final = 40
_ENDS: Final = 10
_LINES: Final = 4


def print_shares(data: Mapping[str, Any], *, others: bool = False) -> None:
    """Print capacities and shares per measured cell and per group, with the truth beside where it is known.

    With ``others``, results of another kind follow, so that nothing is said where there are no shares.
    """
    out = console()
    mode = str(data["mode"]).upper()
    measured = [
        (cell["cell"], cycle)
        for cell in data["cells"]
        for cycle in cell["cycles"]
        if cycle.get("dead_percent") is not None
    ]
    if not measured:
        text = "" if others else "  no cell has been measured by NMR after charge, discharge and hold yet"
        out.print(f"[bold]{mode}[/bold]{text}")
        return
    out.print(f"[bold]{mode}[/bold]  shares of the first charge, ± 1 SD of the cell's own error budget")
    out.print(_shares("cell", measured))
    out.print("groups: mean ± sample SD between the cells")
    out.print(_shares("group", [(f"{group['group']}, n={group['n']}", group) for group in data["groups"]]))


def print_flags(data: Mapping[str, Any]) -> None:
    """Print what a reader must know, each sentence once with the cells to which it applies."""
    whose: dict[str, list[str]] = {}
    for cell in data["cells"]:
        for text in cell["flags"]:
            whose.setdefault(text, []).append(cell["cell"])
    if not whose:
        return
    out = console()
    out.print("before believing a number:")
    many = len(data["cells"])
    for text, cells in whose.items():
        names = f"all {many} cells" if len(cells) == many > 1 else ", ".join(cells)
        _bullet(out, names, text)


def print_files(files: Sequence[Mapping[str, Any]]) -> None:
    """Print what single files say."""
    from rich.markup import escape

    out = console()
    spectra = [one for one in files if one["kind"] == "nmr"]
    if spectra:
        out.print("[bold]NMR[/bold]  lines by height over noise; metal per scan and receiver gain, ± 1 SD")
        out.print(_spectra(spectra))
        _warn(out, spectra)
    for one in files:
        if one["kind"] == "cycling":
            health = f"first below 80 % in cycle {one['n80']}" if one["n80"] else "never below 80 %"
            out.print(f"[bold]cycling[/bold]  {escape(one['path'])}  ({one['source']})")
            out.print(f"discharge capacity {health} of cycle {one['reference_cycle']}")
            out.print(_cycles(one["cycles"]))
            _warn(out, [one])
    sweeps = [one for one in files if one["kind"] == "impedance"]
    if sweeps:
        out.print("[bold]impedance[/bold]  resistances in ohm ± 1 SD, above 1 Hz; KK: Kramers-Kronig test")
        out.print(_sweeps(sweeps))
        _warn(out, sweeps)


def _bullet(out: Console, names: str, text: str) -> None:
    import textwrap

    # A number and its unit stay on one line.
    told = f"{names}: {text}".replace(" %", "\u00a0%")
    folding: dict[str, Any] = {"break_on_hyphens": False, "break_long_words": False}
    line = textwrap.fill(told, out.width, initial_indent="  - ", subsequent_indent="    ", **folding)
    out.print(line, markup=False, soft_wrap=True)


def _warn(out: Console, found: Sequence[Mapping[str, Any]]) -> None:
    whose: dict[str, list[str]] = {}
    for one, name in zip(found, _names(found), strict=True):
        for text in one["warnings"]:
            whose.setdefault(text, []).append(name)
    for text, names in whose.items():
        told = f"all {len(found)}" if len(names) == len(found) > 1 else ", ".join(dict.fromkeys(names))
        _bullet(out, told, text)


def _names(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Give the ends of the paths, as long as it takes to tell them apart."""
    paths = [one["path"].replace("\\", "/").rstrip("/").split("/") for one in found]
    different = len({tuple(one) for one in paths})
    length = 2
    while length < max(map(len, paths)) and len({tuple(one[-length:]) for one in paths}) < different:
        length += 1
    return ["/".join(one[-length:]) for one in paths]


def _table(heads: Sequence[str], *, right: int = 1) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_lines=False)
    for index, head in enumerate(heads):
        table.add_column(head, justify="right" if index >= right else "left", no_wrap=index >= right, overflow="fold")
    return table


def _spectra(found: Sequence[Mapping[str, Any]]) -> Table:
    from rich.markup import escape

    table = _table(["dataset\nnucleus, program", "NS\nRG", "D1 / s\nP1 / µs", "line / ppm\n(S/N)", "metal\n± SD"])
    for one, name in zip(found, _names(found), strict=True):
        lines = [f"{line['ppm']:.1f} ({line['snr']:.0f})" for line in one["lines"]]
        more = [f"+ {len(lines) - _LINES} more"] if len(lines) > _LINES else []
        table.add_row(
            escape(f"{name}\n{one['nucleus'] or 'nucleus not told'}, {one['pulse_program'] or '–'}"),
            f"{one['scans']}\n{one['receiver_gain']:g}",
            f"{one['recycle_delay_s']:g}\n{one['pulse_s'] * 1e6:g}",
            "\n".join(lines[:_LINES] + more) or "–",
            "–" if one["metal"] is None else f"{one['metal']:.4g}\n± {one['metal_sd']:.2g}",
            end_section=True,
        )
    return table


def _cycles(cycles: Sequence[Mapping[str, Any]]) -> Table:
    table = _table(["cycle", "charge\nmAh", "discharge\nmAh", "hold\nmAh", "charge\nmWh", "discharge\nmWh", "CE\n%",
                    "EE\n%", "SOH\n%"], right=0)  # fmt: skip
    skipped = len(cycles) - 2 * _ENDS if len(cycles) > _MOST_CYCLES else 0
    for index, one in enumerate(cycles):
        if skipped and index == _ENDS:
            table.add_row("…", f"{skipped} more", "in --json")
        if skipped and _ENDS <= index < len(cycles) - _ENDS:
            continue
        table.add_row(
            str(one["cycle"]),
            *(_plain(one[name], 4) for name in ("charge_capacity_mAh", "discharge_capacity_mAh", "hold_capacity_mAh")),
            *(_plain(one[name], 3) for name in ("charge_energy_mWh", "discharge_energy_mWh")),
            *(_plain(one[name], 2, 100.0) for name in ("coulombic_efficiency", "energy_efficiency")),
            _plain(one["state_of_health"], 1, 100.0),
        )
    return table


def _sweeps(found: Sequence[Mapping[str, Any]]) -> Table:
    from rich.markup import escape

    table = _table(["file\nspectrum", "points\nrange / Hz", "KK\nvalid above", "R0\n± SD", "R1\n± SD", "R2\n± SD"])
    for one, name in zip(found, _names(found), strict=True):
        passes = {True: "passes", False: "fails", None: "–"}[one["passes"]]
        lowest = "–" if one["lowest_valid_Hz"] is None else f"{one['lowest_valid_Hz']:.3g} Hz"
        values = [
            f"{one['parameters'][name]:.4g}\n± {one['sd'][name]:.2g}" if name in one["parameters"] else "–"
            for name in ("R0", "R1", "R2")
        ]
        table.add_row(
            escape(f"{name}\n{one['number']}, {one['electrode']}"),
            f"{one['points']}\n{one['highest_Hz']:.3g}–{one['lowest_Hz']:.2g}",
            f"{passes}\n{lowest}",
            *values,
            end_section=True,
        )
    return table


def _plain(value: float | None, digits: int, factor: float = 1.0) -> str:
    return "–" if value is None else f"{factor * value:.{digits}f}"


def _shares(first: str, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> Table:
    """Stack what belongs together, so that the table fits 80 columns."""
    from rich import box
    from rich.table import Table

    truth = any("dead_percent_truth" in row for _, row in rows)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_lines=False)
    table.add_column(f"{first}\ncycle", no_wrap=True)
    table.add_column("mAh charged\ndischarged\nCE %", justify="right", no_wrap=True)
    for share in SHARES:
        lines = [share, "mAh", "%"] + (["truth %"] if truth else [])
        table.add_column("\n".join(lines), justify="right", no_wrap=True)
    for name, row in rows:
        capacities = [
            _pair(row, "charge_capacity_mAh", 3),
            _pair(row, "discharge_capacity_mAh", 3),
            _pair(row, "coulombic_efficiency", 1, 100.0),
        ]
        cells = ["\n".join([_pair(row, f"{share}_mAh", 3), _pair(row, f"{share}_percent", 2)]) for share in SHARES]
        if truth:
            cells = [f"{text}\n{row[f'{share}_percent_truth']:.2f}" for text, share in zip(cells, SHARES, strict=True)]
        table.add_row(f"{name}\n{row['cycle']}", "\n".join(capacities), *cells, end_section=True)
    return table


def _pair(row: Mapping[str, Any], key: str, digits: int, factor: float = 1.0) -> str:
    """Write a value, with its standard deviation where it has one."""
    value, sd = row.get(key), row.get(f"{key}_sd")
    if value is None:
        return "–"
    text = f"{factor * value:.{digits}f}"
    return f"{text}±{factor * sd:.{digits}f}" if sd is not None else text
