"""What comes back from the spectrometer PC is a whole dataset that says what it is, or nothing."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import nmrglue
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nmr_bench import TOKEN, Bench, Wire, measure, on_bench, request

from labctl.analysis import bruker
from labctl.errors import DataError
from labctl.instruments import NotReachable, State
from labctl_drivers.bruker import BrukerSpectrometer
from labctl_drivers.bruker.dataset import parse_parameters, scalar
from labctl_drivers.bruker.fetching import check_expno
from labctl_drivers.bruker.gateway import Gateway
from labctl_drivers.bruker.integrity import fault_of

POINTS = 4096
SENT = {"NS": "4", "TD": f"{POINTS}"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Every file of one EXPNO as it lies on the spectrometer PC."""
    folder = tmp_path_factory.mktemp("whole")

    async def test(bench: Bench) -> None:
        await measure(bench, bench.driver(), "whole", request(scans=4, points=POINTS))

    on_bench(test, folder)
    place = folder / "topspin-data" / "whole" / "1"
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_a_whole_dataset_passes_and_tells_how_its_numbers_are_written(whole: dict[str, bytes]) -> None:
    used = check_expno("whole/1", whole, SENT)
    assert (used["NS"], used["DTYPA"], used["BYTORDA"], used["NC"]) == ("4", "0", "0", "0")
    assert float(used["GRPDLY"]) == pytest.approx(67.98563)


@given(cut=st.integers(0, 4 * POINTS - 1))
def test_a_fid_that_breaks_off_anywhere_is_refused(whole: dict[str, bytes], cut: int) -> None:
    with pytest.raises(DataError, match=rf"fid has {cut} bytes where TD asks for {4 * POINTS}"):
        check_expno("cut/1", whole | {"fid": whole["fid"][:cut]}, SENT)


@given(start=st.integers(0, 2 * POINTS), length=st.integers(4096 + 8, 2 * POINTS))
def test_a_stretch_that_nobody_wrote_is_refused_wherever_it_lies(
    whole: dict[str, bytes], start: int, length: int
) -> None:
    fid = whole["fid"][:start] + bytes(length) + whole["fid"][start + length :]
    with pytest.raises(DataError, match=r"empty|hole"):
        check_expno("holed/1", whole | {"fid": fid}, SENT)


@given(cut=st.integers(0, 10_000))
def test_an_acqus_that_breaks_off_is_refused(whole: dict[str, bytes], cut: int) -> None:
    text = whole["acqus"].rstrip()
    with pytest.raises(DataError):
        check_expno("cut/1", whole | {"acqus": text[: min(cut, len(text) - 1)]}, SENT)


@pytest.mark.parametrize("file", ["acqu", "acqus", "audita.txt", "fid", "pulseprogram"])
def test_a_dataset_without_one_of_its_files_is_refused(whole: dict[str, bytes], file: str) -> None:
    with pytest.raises(DataError):
        check_expno("lacking/1", {name: content for name, content in whole.items() if name != file}, SENT)


def test_parameters_with_the_line_ends_of_another_system_are_read_the_same(whole: dict[str, bytes]) -> None:
    other = whole | {"acqus": whole["acqus"].replace(b"\n", b"\r\n")}
    assert check_expno("ends/1", other, SENT) == check_expno("whole/1", whole, SENT)


@pytest.mark.parametrize(
    ("name", "value"),
    [("DTYPA", "1"), ("BYTORDA", "7"), ("TD", "4095"), ("SW_h", "0"), ("NC", "0.5"), ("GRPDLY", "5000"), ("NC", "x")],
)
def test_parameters_that_no_receiver_writes_are_named(whole: dict[str, bytes], name: str, value: str) -> None:
    parameters = parse_parameters(whole["acqus"].decode()) | {name: value}
    assert (fault_of(parameters, whole["fid"]) or "").startswith(f"{name} is {value}")


NUMBERS = st.integers(-(10**6), 10**6).map(str)


@given(
    st.dictionaries(
        # SWH is what TopSpin calls SW_h; no file has it.
        st.text("ABCDEFGHKLNOPRSTW_abcdhw0123", min_size=2, max_size=8).filter(lambda name: name != "SWH"),
        st.one_of(NUMBERS, st.floats(-1e6, 1e6).map(str), st.lists(NUMBERS, min_size=1, max_size=40)),
        max_size=8,
    )
)
@settings(max_examples=40)
def test_whatever_a_parameter_file_says_is_read_back_by_name_and_index(values: dict[str, Any]) -> None:
    lines = ["##TITLE= Parameter file", "$$ 2026-03-01"]
    for name, value in values.items():
        if isinstance(value, list):
            lines += [f"##${name}= (0..{len(value) - 1})", " ".join(value)]
        else:
            lines.append(f"##${name}= {value}")
    found = parse_parameters("\n".join([*lines, "##END="]))
    for name, value in values.items():
        if isinstance(value, list):
            assert [scalar(found, f"{name} {index}") for index in range(len(value))] == value
        else:
            assert scalar(found, name) == value


def test_numbers_of_every_form_and_byte_order_give_the_same_decay_to_us_and_to_nmrglue(tmp_path: Path) -> None:
    decays = {}
    for numbers in ("int32", "int32-big", "float64", "float64-big"):

        async def test(bench: Bench) -> None:
            # Enough scans at a high gain to need an exponent where the numbers are whole.
            await measure(bench, bench.driver(), "same", request(scans=2**20, recycle_delay=0.01, points=POINTS))

        on_bench(test, tmp_path / numbers, numbers=numbers)
        folder = tmp_path / numbers / "bundle" / "same" / "1"
        parameters, theirs = nmrglue.bruker.read(str(folder))
        ours = bruker.read(folder).fid
        np.testing.assert_array_equal(ours, theirs * 2.0 ** parameters["acqus"]["NC"])
        assert parameters["acqus"]["BYTORDA"] == int(numbers.endswith("big"))
        assert (parameters["acqus"]["NC"] > 0) is numbers.startswith("int32")
        decays[numbers] = ours
    np.testing.assert_array_equal(decays["int32"], decays["int32-big"])
    np.testing.assert_array_equal(decays["int32"], decays["float64"])
    np.testing.assert_array_equal(decays["int32"], decays["float64-big"])


@pytest.mark.parametrize("kind", ["truncated", "unwritten", "holed"])
def test_an_acquisition_that_spoils_its_data_gives_nothing(tmp_path: Path, kind: str) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        bench.laboratory.break_down("topspin", kind)
        handle = await driver.start("spoilt", request(scans=2))
        progress = await bench.until_over(driver, handle)
        assert progress.state is (State.FAILED if kind == "truncated" else State.DONE)
        with pytest.raises(DataError, match=r"error|empty|hole"):
            await driver.fetch(handle, bench.folder / "bundle")
        assert not list((bench.folder / "bundle").glob("*"))
        # And the next one is as good as ever.
        await measure(bench, driver, "next", request(scans=2))

    on_bench(test, tmp_path)


def test_the_listing_carries_a_hash_over_all_hashes(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        await measure(bench, bench.driver(), "listed", request(scans=2))
        wire = await Wire.to(bench.port)
        listing = await wire.ask(op="list", name="listed", expno=1)
        lines = "".join(f"{entry['sha256']}  {entry['file']}\n" for entry in listing["files"])
        assert listing["manifest"] == hashlib.sha256(lines.encode()).hexdigest()
        assert listing["state"] == "done"
        await wire.close()

    on_bench(test, tmp_path)


class Meddles(Gateway):
    """A gateway that does something to the dataset, or itself breaks off, from the n-th piece on that is read."""

    def __init__(self, *args: Any, at: int, what: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.left, self.what, self.offsets = at, what, []

    async def _reply(self, op: str, fields: dict[str, Any]) -> dict[str, Any]:
        if op == "read":
            self.offsets.append(fields["offset"])
            self.left -= 1
            if self.left <= 0:
                self.what()
        return await super()._reply(op, fields)


LONG = {"scans": 1, "points": 1 << 18}  # a fid of a mebibyte, in six pieces


async def _meddled(bench: Bench, at: int, what: Any) -> tuple[Meddles, BrukerSpectrometer]:
    gateway = Meddles(
        bench.simulator.api,
        token=TOKEN,
        clock=bench.clock,
        data_folder=bench.simulator.folder,
        session=bench.simulator.session,
        at=at,
        what=what,
    )
    bench.gateways.append(gateway)
    return gateway, bench.driver(await gateway.start())


def test_a_copy_that_broke_off_goes_on_at_the_piece_where_it_was(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        handle = await driver.start("long", request(**LONG))
        await bench.until_over(driver, handle)

        def gone() -> None:
            raise ConnectionResetError("the spectrometer's PC is gone")

        first, early = await _meddled(bench, 4, gone)
        with pytest.raises(NotReachable):
            await early.fetch(handle, tmp_path / "bundle")
        assert first.offsets[:4] == [0, 196608, 2 * 196608, 3 * 196608]
        kept = sum(path.stat().st_size for path in (tmp_path / "bundle").rglob("*") if path.is_file())
        assert kept == 3 * 196608
        assert not (tmp_path / "bundle" / "long").exists(), "not whole: not there"

        second, later = await _meddled(bench, 1000, gone)
        await later.fetch(handle, tmp_path / "bundle")
        assert second.offsets == [3 * 196608, 4 * 196608, 5 * 196608]
        original = bench.simulator.folder / "long" / "1" / "fid"
        assert (tmp_path / "bundle" / "long" / "1" / "fid").read_bytes() == original.read_bytes()
        assert sorted(path.name for path in (tmp_path / "bundle").iterdir()) == ["long"], "nothing else is left"

    on_bench(test, tmp_path)


def test_a_dataset_that_changes_while_it_is_copied_is_copied_again(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        handle = await driver.start("long", request(**LONG))
        await bench.until_over(driver, handle)
        title = bench.simulator.folder / "long" / "1" / "pdata" / "1" / "title"
        _, watching = await _meddled(bench, 2, lambda: title.write_text("retitled\n"))
        await watching.fetch(handle, tmp_path / "bundle")
        assert (tmp_path / "bundle" / "long" / "1" / "pdata" / "1" / "title").read_text() == "retitled\n"
        assert any("changed while it was copied" in hiccup.message for hiccup in bench.hiccups)

    on_bench(test, tmp_path)


def test_the_gateway_halts_what_takes_far_too_long_after_a_minute_more_than_labctl_does(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        wire = await Wire.to(bench.port)
        await wire.ask(op="create", name="s1", expno=1)
        await wire.ask(op="setpar", name="s1", expno=1, pars={"NS": "10000", "D 1": "1"})
        await wire.ask(op="start", name="s1", expno=1, expected_s=100)
        await wire.close()
        await asyncio.sleep(1.5 * 100 + 119)
        assert bench.commands("halt") == 0
        await asyncio.sleep(5)
        assert bench.commands("halt") == 1

    on_bench(test, tmp_path)


def test_one_spectrum_stays_one_spectrum(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        wire = await Wire.to(bench.port)
        await wire.ask(op="create", name="s1", expno=1)
        answer = await wire.ask(op="setpar", name="s1", expno=1, pars={"PARMODE": "2D"})
        assert (answer["code"], "one EXPNO" in answer["msg"]) == ("PAR_REJECTED", True)
        await wire.close()

    on_bench(test, tmp_path)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "0", "0.0", "0x0", "::0", "::ffff:0.0.0.0"])
def test_a_gateway_never_listens_on_all_addresses(tmp_path: Path, host: str) -> None:
    with pytest.raises(ValueError, match="name one"):
        Gateway(object(), token="t", host=host, data_folder=tmp_path)
