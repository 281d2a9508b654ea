"""What a station file may say of an instrument is what its driver reads, key for key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from line_bench import Bench, on_bench

from labctl.instruments import DriverContext
from labctl.station import read_station, station_schema
from labctl_drivers.binder import BinderChamber
from labctl_drivers.espec import EspecChamber
from labctl_drivers.julabo import JulaboChamber
from labctl_drivers.scpi_multiplexer import ScpiMultiplexer
from labctl_simulators.binder import BinderSimulator
from labctl_simulators.espec import EspecSimulator
from labctl_simulators.julabo import JulaboSimulator
from labctl_simulators.scpi import ScpiMultiplexerSimulator

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


@pytest.mark.parametrize("driver", ENTRIES)
def test_a_station_may_say_all_of_it_and_the_driver_gets_it_as_it_stands(driver: str) -> None:
    entry = {"driver": driver, **ENTRIES[driver][2]}
    head = {"labctl": 1, "station": "lab", "mode": "live", "capacity_accuracy": "0.1 %"}
    data = {**head, "instruments": {"it": entry}, "places": {"shelf": {"count": 1}}}
    jsonschema.Draft202012Validator(station_schema()).validate(data)
    station = read_station("", "station.yaml", data=data)
    assert {key: value for key, value in station.settings("it").items() if key != "settled"} == entry
