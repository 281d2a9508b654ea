"""Quantities at the border: what is written comes back, and what is not a quantity is refused by name."""

from __future__ import annotations

import math
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.units import KINDS, MAH, UnitError, example_unit, fits, parse, show, unit_pattern

UNITS: dict[str, list[tuple[str, float]]] = {
    "voltage": [("V", 1.0), ("mV", 1e-3), ("uV", 1e-6), ("kV", 1e3)],
    "current": [("A", 1.0), ("mA", 1e-3), ("uA", 1e-6), ("µA", 1e-6), ("μA", 1e-6), ("nA", 1e-9)],
    "current density": [("A/m2", 1.0), ("mA/cm2", 10.0), ("mA/cm^2", 10.0), ("uA/cm2", 0.01), ("mA cm-2", 10.0)],
    "specific current": [("mA/g", 1.0), ("A/kg", 1.0)],
    "capacity": [("Ah", 3600.0), ("mAh", MAH), ("C", 1.0), ("A s", 1.0), ("A*s", 1.0), ("uAh", 3.6e-3)],
    "areal capacity": [("mAh/cm2", 3.6e4), ("C/m2", 1.0)],
    "specific capacity": [("mAh/g", 3600.0)],
    "power": [("W", 1.0), ("mW", 1e-3), ("kW", 1e3)],
    "resistance": [("ohm", 1.0), ("Ω", 1.0), ("kohm", 1e3), ("mΩ", 1e-3), ("Mohm", 1e6)],
    "duration": [("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("min", 60.0), ("h", 3600.0), ("d", 86400.0)],
    "frequency": [("Hz", 1.0), ("kHz", 1e3), ("MHz", 1e6), ("mHz", 1e-3)],
    "temperature difference": [("K", 1.0), ("mK", 1e-3)],
    "area": [("m2", 1.0), ("cm2", 1e-4), ("mm2", 1e-6), ("cm^2", 1e-4)],
    "length": [("m", 1.0), ("um", 1e-6), ("mm", 1e-3), ("cm", 1e-2)],
    "mass": [("g", 1e-3), ("mg", 1e-6), ("kg", 1.0)],
    "ratio": [("%", 0.01)],
    "shift": [("ppm", 1.0)],
    "angle": [("rad", 1.0), ("deg", math.pi / 180)],
}
PAIRS = [(kind, unit, factor) for kind, known in UNITS.items() for unit, factor in known]
numbers = st.floats(min_value=-1e12, max_value=1e12, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-12)


def test_the_table_above_leaves_no_kind_out() -> None:
    assert set(UNITS) | {"temperature"} == set(KINDS)


def test_the_pattern_for_editors_takes_every_unit_of_its_kind_and_refuses_the_simple_ones_of_others() -> None:
    for kind, unit, _ in PAIRS:
        assert re.fullmatch(unit_pattern(kind), unit), (kind, unit)
    assert not re.fullmatch(unit_pattern("current"), "V")
    assert not re.fullmatch(unit_pattern("duration"), "mAh")
    assert not re.fullmatch(unit_pattern("current density"), "mA")


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("0.2 mA/cm2", "current density", 2.0),
        ("4.3 V", "voltage", 4.3),
        ("1 uA", "current", 1e-6),
        ("16 h", "duration", 57600.0),
        ("1.0 cm2", "area", 1e-4),
        ("40 degC", "temperature", 313.15),
        ("40°C", "temperature", 313.15),
        ("293.15 K", "temperature", 293.15),
        ("-20 degC", "temperature", 253.15),
        ("0.1 %", "ratio", 0.001),
        ("300 kHz", "frequency", 3e5),
        ("90 deg", "angle", math.pi / 2),
        ("0.1 us", "duration", 1e-7),
        (" 1e-3V ", "voltage", 1e-3),
        ("+.5 V", "voltage", 0.5),
        ("5. V", "voltage", 5.0),
        ("250 ppm", "shift", 250.0),
    ],
)
def test_what_protocols_say(text: str, kind: str, value: float) -> None:
    assert parse(text, kind) == pytest.approx(value, rel=1e-12)
    assert fits(text, kind)


@given(number=numbers, pair=st.sampled_from(PAIRS))
def test_every_unit_has_its_factor(number: float, pair: tuple[str, str, float]) -> None:
    kind, unit, factor = pair
    assert parse(f"{number!r} {unit}", kind) == pytest.approx(number * factor, rel=1e-12)


@given(number=numbers, pair=st.sampled_from(PAIRS))
def test_what_is_shown_reads_back(number: float, pair: tuple[str, str, float]) -> None:
    kind, unit, factor = pair
    value = number * factor
    assert parse(show(value, unit, digits=17), kind) == pytest.approx(value, rel=1e-12)


@given(celsius=st.floats(min_value=-273.0, max_value=2000.0), unit=st.sampled_from(["degC", "°C"]))
def test_temperatures_read_back(celsius: float, unit: str) -> None:
    value = celsius + 273.15
    assert parse(show(value, unit, digits=17), "temperature") == pytest.approx(value, abs=1e-9)
    assert parse(show(value, "K", digits=17), "temperature") == pytest.approx(value, abs=1e-9)


@given(pair=st.sampled_from(PAIRS), kind=st.sampled_from(sorted(KINDS)))
def test_a_unit_of_another_kind_is_refused(pair: tuple[str, str, float], kind: str) -> None:
    own, unit, _ = pair
    if KINDS[own][0] == KINDS[kind][0]:
        assert fits(f"1 {unit}", kind)
    else:
        with pytest.raises(UnitError, match="is not a unit of"):
            parse(f"1 {unit}", kind)


@given(number=numbers, kind=st.sampled_from(sorted(KINDS)))
def test_a_number_without_a_unit_is_refused(number: float, kind: str) -> None:
    for bare in (number, repr(number)):
        with pytest.raises(UnitError, match="has no unit"):
            parse(bare, kind)


@given(text=st.text(max_size=30), kind=st.sampled_from(sorted(KINDS)))
def test_any_text_is_a_finite_quantity_or_a_unit_error(text: str, kind: str) -> None:
    if fits(text, kind):
        assert math.isfinite(parse(text, kind))


@given(
    head=st.floats(min_value=0, max_value=1e6),
    unit=st.text(string.ascii_letters + "/*^-0123456789%", min_size=1, max_size=10),
    kind=st.sampled_from(sorted(KINDS)),
)
def test_any_unit_is_known_or_a_unit_error(head: float, unit: str, kind: str) -> None:
    if fits(f"{head} {unit}", kind):
        assert math.isfinite(parse(f"{head} {unit}", kind))


@pytest.mark.parametrize("value", [None, True, False, [], {}, b"4 V", ["4 V"], ("4", "V"), object()])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(UnitError, match="expected a voltage with its unit"):
        parse(value, "voltage")


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("", "voltage", "not a number with a unit"),
        ("V", "voltage", "not a number with a unit"),
        ("four V", "voltage", "not a number with a unit"),
        ("nan V", "voltage", "not a number with a unit"),
        ("inf V", "voltage", "not a number with a unit"),
        ("1e999 V", "voltage", "not a finite number"),
        ("1e308 GV", "voltage", "too large"),
        ("4.3 volts", "voltage", "unknown unit 'volts'"),
        ("4.3 v", "voltage", "unknown unit 'v'"),
        ("4,3 V", "voltage", "unknown unit"),
        ("4.3 V V", "voltage", "not a unit of voltage"),
        ("1 mmin", "duration", "unknown unit 'mmin'"),
        ("1 k%", "ratio", "unknown unit"),
        ("1 mA/", "current", "unknown unit"),
        ("20 degC", "temperature difference", "is a temperature, not a temperature difference"),
        ("20 °C", "voltage", "is a temperature"),
        ("20 degF", "temperature", "unknown unit 'degF'"),
        ("-1 K", "temperature", "below absolute zero"),
        ("-300 degC", "temperature", "below absolute zero"),
        ("0.2 mA", "current density", "not a unit of current density"),
        ("0.2 mA/cm2", "current", "not a unit of current"),
        ("5 ppm", "ratio", "not a unit of ratio"),
    ],
)
def test_mistakes_are_named(text: str, kind: str, words: str) -> None:
    with pytest.raises(UnitError, match=words):
        parse(text, kind)
    assert not fits(text, kind)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_messages_suggest_a_unit_that_fits(kind: str) -> None:
    assert fits(f"1 {example_unit(kind)}", kind)


def test_show_is_for_people() -> None:
    assert show(2.0, "mA/cm2") == "0.2 mA/cm2"
    assert show(313.15, "degC") == "40 degC"
    assert show(MAH * 1.23456, "mAh") == "1.235 mAh"
