"""What a station file may say of an instrument is what its driver reads, key for key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import biologic_bench
import jsonschema
import pytest
from line_bench import Bench, on_bench

from labctl.engine.clock import LoopClock, run_virtual
from labctl.errors import InvalidFile
from labctl.instruments import DriverContext
from labctl.station import read_station, station_schema
from labctl_drivers.binder import BinderChamber
from labctl_drivers.biologic import BIOLOGIC
from labctl_drivers.espec import EspecChamber
from labctl_drivers.julabo import JulaboChamber
from labctl_drivers.scpi_multiplexer import ScpiMultiplexer
from labctl_drivers.zahner import ZahnerPotentiostat
from labctl_simulators.binder import BinderSimulator
from labctl_simulators.espec import EspecSimulator
from labctl_simulators.julabo import JulaboSimulator
from labctl_simulators.scpi import ScpiMultiplexerSimulator
from labctl_simulators.thales import ThalesSimulator

#: By driver: class, simulator, and an entry that leaves no key out.
ENTRIES: dict[str, tuple[Callable[[DriverContext], Any], Callable[..., Any], dict[str, Any]]] = {
    "binder": (
        BinderChamber,
        BinderSimulator,
        {
            "address": "192.0.2.15:502",
            "map": "mb2",
            "unit": 1,
            "word_order": "low first",
            "serial": "9600 8N1",
            "instrument_clock": "1 h",
        },
    ),
    "espec": (
        EspecChamber,
        EspecSimulator,
        {
            "address": "192.0.2.16",
            "controller": "SCP-220",
            "serial": "9600 8N1",
            "unit": 3,
            "answer_within_s": 1.5,
            "instrument_clock": "1 h",
        },
    ),
    "zahner": (
        ZahnerPotentiostat,
        ThalesSimulator,
        {
            "address": "192.0.2.12",
            "port": 260,
            "output_path": "c:\\thales\\labctl",
            "naming": "counter",
            "strategy": "multi",
            "serial": "25000",
            "quiet_s": 1200,
            "heartbeat_s": 90,
        },
    ),
    "julabo": (
        JulaboChamber,
        JulaboSimulator,
        {"address": "COM3", "serial": "4800 7E1", "probe": "internal", "handshake": "none"},
    ),
    "scpi-multiplexer": (
        ScpiMultiplexer,
        ScpiMultiplexerSimulator,
        {
            "address": "TCPIP::192.0.2.13::5025::SOCKET",
            "model": "34970A",
            "module": "34903A",
            "also": [10],
            "power_fail_recall": "warn",
            "serial": "9600 8N1",
            "instrument_clock": "1 h",
        },
    ),
}
#: The same, of a driver whose keys are read by two ways in.
BIOLOGIC_ENTRY: dict[str, Any] = {
    "role": "potentiostat",
    "backend": "olecom",
    "address": "192.0.2.20",
    "channels": [3],
    "electrodes": 3,
    "bandwidth": 4,
    "model": "VMP-3e",
    "folder": "vmp",
    "answer_within": "20 s",
    "library": "EClib64.dll",
    "firmware": "replace",
    "com": "EClabCOM.EClabExe",
    "device": 1,
    "serial": 21042,
    "decimal": "comma",
    "template": "eclab/vmp.mps",
    "voltage_range_min": "-5 V",
    "voltage_range_max": "5 V",
    "safety_margin": "20 mV",
    "file_times": "technique",
    "selected_for": "2 s",
}
#: Keys of every entry that are not the driver's own; and what labctl adds to a multiplexer's.
NOT_THE_DRIVERS = {"driver", "simulate", "limits", "settled"}
ADDED = {"leads"}


class Watched(Mapping[str, Any]):
    """Settings that remember what was read of them."""

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.entry = entry
        self.read: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return self.entry[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entry)

    def __len__(self) -> int:
        return len(self.entry)


def known_keys(driver: str) -> set[str]:
    """Those that the JSON Schema of station files knows for a driver."""
    models = station_schema()["$defs"].values()
    [model] = [one for one in models if one.get("properties", {}).get("driver", {}).get("const") == driver]
    return set(model["properties"])


@pytest.mark.parametrize("driver", ENTRIES)
def test_what_a_station_may_say_is_what_the_driver_reads(driver: str) -> None:
    make, simulate, entry = ENTRIES[driver]
    watched: list[Watched] = []

    def watching(context: DriverContext) -> Any:
        watched.append(Watched(context.settings))
        return make(replace(context, settings=watched[0], read_only=True))

    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.inspect(exercise=False)

    on_bench(watching, simulate, "it", test, entry, {})
    assert watched[0].read - ADDED == known_keys(driver) - NOT_THE_DRIVERS


def test_what_a_station_may_say_of_a_biologic_is_what_its_two_ways_in_read(tmp_path: Path) -> None:
    read: set[str] = set()

    async def main(clock: LoopClock) -> None:
        for backend in ("eclib", "olecom"):
            async with biologic_bench.bench(clock, tmp_path, backend=backend) as made:
                watched = Watched(made.entry)
                context = DriverContext(
                    "biologic", watched, clock, biologic_bench.Silent(), made.hiccups.append, str, tmp_path
                )
                driver = BIOLOGIC(context)
                await driver.connect()
                inspection = await driver.inspect(exercise=False)
                assert inspection.facts["way in"] == backend
                await driver.close()
                read.update(watched.read)

    run_virtual(main)
    assert read == known_keys("biologic") - NOT_THE_DRIVERS


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{driver: biologic, adress: 192.0.2.20}", "2:39: unknown key 'adress'; did you mean 'address'?"),
        ("{driver: biologic, address: 192.0.2.20, electrodes: 4}", "2:72: the number 4 is not known; write 2 or 3"),
        ("{driver: biologic, channels: 1-2}", "'address' is missing"),
        (
            "{driver: biologic, role: potentiostat, address: USB0, channels: 1-2}",
            "a potentiostat has one channel, not 2",
        ),
        ("{driver: biologic, address: USB0, channels: 17}", "no instrument has a channel 17"),
    ],
)
def test_a_slip_in_the_entry_of_a_biologic_is_named_with_its_place(entry: str, said: str) -> None:
    text = (
        f"labctl: 1\ninstruments: {{vmp: {entry}}}\nstation: lab\nmode: live\ncapacity_accuracy: 0.1 %\n"
        "places: {shelf: {count: 1}}\n"
    )
    with pytest.raises(InvalidFile) as caught:
        read_station(text, "station.yaml")
    assert said in str(caught.value)


@pytest.mark.parametrize("driver", [*ENTRIES, "biologic"])
def test_a_station_may_say_all_of_it_and_the_driver_gets_it_as_it_stands(driver: str) -> None:
    entry = {"driver": driver, **(BIOLOGIC_ENTRY if driver == "biologic" else ENTRIES[driver][2])}
    head = {"labctl": 1, "station": "lab", "mode": "live", "capacity_accuracy": "0.1 %"}
    data = {**head, "instruments": {"it": entry}, "places": {"shelf": {"count": 1}}}
    jsonschema.Draft202012Validator(station_schema()).validate(data)
    station = read_station("", "station.yaml", data=data)
    assert {key: value for key, value in station.settings("it").items() if key != "settled"} == entry
