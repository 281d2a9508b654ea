"""How long do files of results take, and how large are they?

    python -m benchmarks.results_files [CELLS]

24 cells of 50 cycles, 4 of them measured (4 spectra and 2 impedance spectra each), written as netCDF and CSV and read
back. At most 3 s of processor time are allowed for writing all.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "unit"))

import analysed
import xarray

from labctl.analysis import storage

_ALLOWED_S = 3.0
_REPEATS = 3


def _fastest(what, *given) -> tuple[float, float]:
    """Give the least processor time and the least wall time of a few runs, s."""
    found = []
    for _ in range(_REPEATS):
        wall, cpu = time.perf_counter(), time.process_time()
        what(*given)
        found.append((time.process_time() - cpu, time.perf_counter() - wall))
    return min(cpu for cpu, _ in found), min(wall for _, wall in found)


def main(count: int = 24) -> int:
    cells = [
        analysed.cell(f"cell-{n:02d}", "coated" if n % 2 else "bare", cycles=50, measured=(1, 5, 15, 30), seed=n)
        for n in range(count)
    ]
    made = analysed.analysis(cells)
    with tempfile.TemporaryDirectory() as place:
        cpu, wall = _fastest(storage.write, made, Path(place))
        files = [path for path in Path(place).rglob("*") if path.is_file()]
        kept = [path for path in files if path.suffix == ".nc"]
        print(f"write {count} cells: {cpu:.2f} s processor, {wall:.2f} s wall, {len(files)} files")
        print(f"netCDF {sum(path.stat().st_size for path in kept) / len(kept) / 1e3:.0f} kB each, "
              f"with CSV {sum(path.stat().st_size for path in files) / len(kept) / 1e3:.0f} kB")  # fmt: skip
        one = next(path for path in kept if path.stem == "cell-00")
        print("read one cell: storage.read {:.3f} s processor".format(*_fastest(storage.read, one)))
        print("read one cell: xarray with h5netcdf {:.3f} s processor".format(*_fastest(_plainly, one)))
    return 0 if cpu <= _ALLOWED_S * count / 24 else 1


def _plainly(path: Path) -> None:
    with xarray.open_dataset(path, engine="h5netcdf") as opened:
        opened.load()


if __name__ == "__main__":
    sys.exit(main(*(int(each) for each in sys.argv[1:])))
