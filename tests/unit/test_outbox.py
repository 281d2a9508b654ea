"""What leaves a laboratory arrives whole, once, at whoever may have it; and what does not is known and tried again."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "run"))
from receiver import TLS, TOKEN, Receiver, check

from labctl.engine.clock import WallClock, run_virtual
from labctl.engine.outbox import LONGEST, TOLD_AFTER, Outbox, wait_after
from labctl.errors import AnalysisError, UsageError
from labctl.journal import Journal, LastWord, Posting
from labctl.results import (
    Core,
    DropFolder,
    HttpEndpoint,
    bundle_folder,
    delivery,
    document_hash,
    write_bundle,
    write_campaign,
)
from labctl.results.dropfolder import MARKER, OWNER, SUPERSEDED
from labctl.results.parcel import open_parcel, pack

EPOCH = datetime(2026, 3, 1, 8, tzinfo=UTC)


class Silent:
    """A log that nobody reads; what is an error fails the test."""

    def debug(self, event, **fields):
        pass

    info = warning = debug

    def error(self, event, **fields):
        raise AssertionError((event, fields))


class Laboratory:
    """Results and a journal, without any instrument."""

    def __init__(self, folder):
        self.folder = folder
        self.results = folder / "results"
        write_campaign(self.results, {"campaign": "c-1", "protocol": "p", "mode": "simulated", "cells": []})

    def bundle(self, number, text="one"):
        """Write a bundle and give its operation."""
        operation = f"c-1/bare-01/c001/{number:02d}-eis/a1"
        folder = bundle_folder(self.results, operation)
        (folder / "raw").mkdir(parents=True, exist_ok=True)
        (folder / "raw" / "spectrum.ism").write_bytes(bytes(range(256)) * 40)
        (folder / "impedance.csv").write_text(f"{text}\n")
        described = {"operation": operation, "campaign": "c-1", "mode": "simulated"}
        write_bundle(folder, ["raw/spectrum.ism", "impedance.csv"], described)
        return operation

    def journal(self, clock=None):
        return Journal(self.folder / "labctl.sqlite", clock or WallClock())

    def word(self):
        """What the journal says after a run."""
        return LastWord(self.folder / "labctl.sqlite", WallClock())

    def post(self, journal, *operations, target="there"):
        for operation in operations:
            sha256 = document_hash(bundle_folder(self.results, operation) / "operation.json")
            journal.outbox.post(journal.outbox.rows(operation, "c-1", Posting(sha256, (target,))))

    def deliver(self, target, script, *operations):
        """Run the outbox in virtual time until the script ends; gives what the script gave."""

        async def main(clock):
            journal = self.journal(clock)
            self.post(journal, *operations)
            outbox = Outbox(journal, [target], self.results, clock, Silent())
            keeping = asyncio.create_task(outbox.keep())
            try:
                return await script(journal, outbox)
            finally:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)
                journal.close()

        return run_virtual(main, EPOCH)


@pytest.fixture
def laboratory(tmp_path):
    return Laboratory(tmp_path)


@pytest.fixture
def receiver():
    with Receiver() as made:
        yield made


def endpoint(receiver, *, token=TOKEN, certificates=None, patience=30.0):
    return HttpEndpoint("there", receiver.address, lambda: token, certificates, "lab-1", patience)


async def settled(journal, outbox):
    await outbox.settle(100_000)
    return journal.waiting()


# -- what is sent ----------------------------------------------------------------------------------------------------
def test_the_same_bundle_gives_the_same_zip_wherever_it_lies(tmp_path):
    packed = []
    for name in ("one", "two"):
        laboratory = Laboratory(tmp_path / name)
        operation = laboratory.bundle(1)
        sha256 = document_hash(bundle_folder(laboratory.results, operation) / "operation.json")
        with (tmp_path / f"{name}.zip").open("wb") as file:
            pack(open_parcel(laboratory.results, operation, sha256), file)
        packed.append((tmp_path / f"{name}.zip").read_bytes())
        assert check(sha256, packed[-1]) == operation
    assert packed[0] == packed[1]


def test_a_bundle_that_is_not_what_was_posted_is_not_sent(laboratory, receiver):
    touched, fine = laboratory.bundle(1), laboratory.bundle(2)
    (bundle_folder(laboratory.results, touched) / "impedance.csv").write_text("other\n")
    assert [row.operation for row in laboratory.deliver(endpoint(receiver), settled, touched, fine)] == [touched]
    assert receiver.operations() == {fine}
    (alarm,) = laboratory.word().alarms()
    assert "impedance.csv is not what operation.json says" in alarm.message


# -- an endpoint -----------------------------------------------------------------------------------------------------
def test_bundles_and_the_description_of_their_campaign_arrive_whole_and_once(laboratory, receiver):
    operations = [laboratory.bundle(number) for number in range(3)]

    async def script(journal, outbox):
        outbox.begin("c-1")
        await settled(journal, outbox)
        # As after a restart, and after a journal that was lost: what has arrived is known by its hash.
        outbox.begin("c-1")
        laboratory.post(journal, *operations)
        outbox.wake()
        return await settled(journal, outbox)

    assert laboratory.deliver(endpoint(receiver), script, *operations) == []
    assert receiver.operations() == {"c-1", *operations}
    assert sorted(receiver.statuses()) == [200] * 3 + [201] * 4
    sent = receiver.headers[0]
    assert {sent["Content-Type"], sent["Labctl-Schema"]} == {"application/zip", "labctl.bundle/1"}
    assert (sent["Labctl-Laboratory"], sent["Labctl-Mode"]) == ("lab-1", "simulated")


@pytest.mark.parametrize("mood", ["cut", "lost", "late", "page", 429, 500])
def test_what_did_not_arrive_for_sure_is_sent_again(laboratory, receiver, mood):
    operation = laboratory.bundle(1)
    receiver.moods.append(mood)
    target = endpoint(receiver, patience=0.5 if mood == "late" else 30.0)

    async def script(journal, outbox):
        if mood == "late":
            while not journal.waiting()[0].tries:
                await asyncio.sleep(1.0)
            receiver.awake.set()
        return await settled(journal, outbox)

    assert laboratory.deliver(target, script, operation) == []
    assert receiver.operations() == {operation}
    assert len(receiver.answered) >= 2


def test_retries_are_ever_farther_apart_and_a_person_is_told_until_it_has_arrived(laboratory, receiver):
    operation = laboratory.bundle(1)
    receiver.moods.extend([503] * 11)

    async def script(journal, outbox):
        waits, told, before = [], [], journal.now()
        while rows := journal.waiting():
            if rows[0].tries > len(waits):
                waits.append((datetime.fromisoformat(rows[0].next_try) - datetime.fromisoformat(before)).seconds)
                before = rows[0].next_try
                told.append([alarm.severity for alarm in journal.alarms()])
            await asyncio.sleep(4.0)
        return waits, told, journal.alarms()

    waits, told, after = laboratory.deliver(endpoint(receiver), script, operation)
    assert waits == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 1800, 1800]
    assert waits[:-1] == [wait_after(tries) for tries in range(1, 11)]
    assert told == [[]] * (TOLD_AFTER - 1) + [["warning"]] * (12 - TOLD_AFTER)
    assert after == []
    assert wait_after(10_000) == LONGEST


def test_a_receiver_may_say_how_long_to_wait(laboratory, receiver):
    operation = laboratory.bundle(1)
    receiver.moods.append("busy")

    async def script(journal, outbox):
        while not (row := journal.waiting()[0]).tries:
            await asyncio.sleep(0.1)
        left = await settled(journal, outbox)
        return left, datetime.fromisoformat(row.next_try) - EPOCH

    left, wait = laboratory.deliver(endpoint(receiver), script, operation)
    assert left == []
    assert timedelta(seconds=120) <= wait < timedelta(seconds=125)


@pytest.mark.parametrize("status", [409, 422])
def test_a_bundle_that_is_refused_for_good_waits_for_a_person_and_others_go_on(laboratory, receiver, status):
    refused, fine = laboratory.bundle(1), laboratory.bundle(2)
    receiver.moods.append(status)

    async def script(journal, outbox):
        await settled(journal, outbox)
        await asyncio.sleep(100_000)
        asked, waiting = len(receiver.answered), [row.operation for row in journal.waiting()]
        (alarm,) = journal.alarms()
        journal.reset(alarm.alarm, "ana")
        outbox.wake()
        return asked, waiting, alarm.message, await settled(journal, outbox)

    asked, waiting, message, left = laboratory.deliver(endpoint(receiver), script, refused, fine)
    assert (asked, waiting, left) == (2, [refused], [])
    assert f"answered {status}" in message
    assert "told to" in message
    assert receiver.operations() == {refused, fine}


@pytest.mark.parametrize("mood", [401, 403, "moved"])
def test_who_refuses_everything_is_not_asked_again_before_a_restart(laboratory, receiver, mood):
    operations = [laboratory.bundle(number) for number in range(3)]
    receiver.moods.append(mood)

    async def script(journal, outbox):
        await settled(journal, outbox)
        await asyncio.sleep(100_000)
        return len(journal.waiting()), [alarm.message for alarm in journal.alarms()]

    waiting, (message,) = laboratory.deliver(endpoint(receiver), script, *operations)
    assert (waiting, len(receiver.answered)) == (3, 1)
    assert "nothing more is sent there" in message
    assert laboratory.deliver(endpoint(receiver), settled) == []
    assert receiver.operations() == set(operations)
    assert laboratory.word().alarms() == []


@pytest.mark.parametrize("token", ["wrong-token", "two words", "line\r\nbreak", None])
def test_a_token_that_does_not_do_is_told_and_never_written_down(laboratory, receiver, token):
    operation = laboratory.bundle(1)

    def give():
        if token is None:
            raise UsageError("environment variable LABCTL_X is not set")
        return token

    target = HttpEndpoint("there", receiver.address, give, None, "lab-1")
    assert [row.tries for row in laboratory.deliver(target, settled, operation)] == [1]
    assert receiver.stored == {}
    assert len(laboratory.word().alarms()) == 1
    written = b"".join(path.read_bytes() for path in laboratory.folder.glob("labctl.sqlite*"))
    assert token is None or token.encode() not in written


def test_an_endpoint_is_trusted_by_the_authorities_that_the_station_names_and_by_no_others(laboratory):
    operation = laboratory.bundle(1)
    with Receiver(tls=True) as receiver:

        async def once(journal, outbox):
            while not journal.waiting()[0].tries:
                await asyncio.sleep(0.1)
            return journal.waiting()[0].error

        assert "certificate verify failed" in laboratory.deliver(endpoint(receiver), once, operation)
        assert receiver.answered == []
        trusting = endpoint(receiver, certificates=TLS / "authority.pem")
        assert laboratory.deliver(trusting, settled) == []
        assert receiver.operations() == {operation}


def test_letting_go_does_not_wait_for_a_receiver_that_does_not_answer(laboratory, receiver):
    operation = laboratory.bundle(1)
    receiver.moods.append("late")

    async def script(journal, outbox):
        # Virtual time stands still while something is sent.
        while not receiver.headers:
            await asyncio.sleep(0)

    laboratory.deliver(endpoint(receiver, patience=60.0), script, operation)
    assert (receiver.answered, receiver.awake.is_set()) == ([], False)
    assert len(laboratory.word().waiting()) == 1


# -- a folder --------------------------------------------------------------------------------------------------------
def drop(laboratory, path, *, owner="lab-1", make=False):
    return DropFolder("there", path, owner, laboratory.results, make=make)


def test_a_dropped_bundle_is_the_bundle_with_its_marker_and_one_that_is_there_is_left_alone(laboratory, tmp_path):
    operation, share = laboratory.bundle(1), tmp_path / "share"
    share.mkdir()
    there = share / operation
    # What a killed copy left behind.
    sha256 = document_hash(bundle_folder(laboratory.results, operation) / "operation.json")
    torn = there.with_name(f".a1.{sha256[:12]}.partial")
    torn.mkdir(parents=True)
    (torn / "impedance.csv").write_text("on")

    async def script(journal, outbox):
        outbox.begin("c-1")
        return await settled(journal, outbox)

    assert laboratory.deliver(drop(laboratory, share), script, operation) == []
    source = bundle_folder(laboratory.results, operation)
    copied = {path.relative_to(there).as_posix(): path.read_bytes() for path in there.rglob("*") if path.is_file()}
    marker = json.loads(copied.pop(MARKER))
    assert copied == {path.relative_to(source).as_posix(): path.read_bytes() for path in source.rglob("*.*")}
    assert (marker["sha256"], set(marker["files"])) == (sha256, set(copied))
    assert (share / "c-1" / "campaign.json").read_bytes() == (laboratory.results / "c-1/campaign.json").read_bytes()
    assert [path.name for path in there.parent.iterdir()] == ["a1"]
    before = there.stat().st_ino
    laboratory.deliver(drop(laboratory, share), settled, operation)
    assert there.stat().st_ino == before


def test_a_share_that_is_not_mounted_is_waited_for_and_not_filled_beneath(laboratory, tmp_path):
    operation, share = laboratory.bundle(1), tmp_path / "share"

    async def script(journal, outbox):
        await asyncio.sleep(3600)
        assert not share.exists()
        assert "is the share mounted?" in journal.waiting()[0].error
        share.mkdir()
        return await settled(journal, outbox)

    assert laboratory.deliver(drop(laboratory, share), script, operation) == []
    assert (share / operation / MARKER).exists()


def test_nothing_of_others_is_overwritten(laboratory, tmp_path):
    mine, fine, share = laboratory.bundle(1), laboratory.bundle(2), tmp_path / "share"
    (share / mine).mkdir(parents=True)
    (share / mine / "thesis.txt").write_text("years of work")
    left = laboratory.deliver(drop(laboratory, share), settled, mine, fine)
    assert [row.operation for row in left] == [mine]
    assert [path.name for path in (share / mine).iterdir()] == ["thesis.txt"]
    assert json.loads((share / "c-1" / OWNER).read_text())["laboratory"] == "lab-1"
    other = drop(laboratory, share, owner="lab-2")
    assert len(laboratory.deliver(other, settled, laboratory.bundle(3))) == 2
    assert any("another laboratory (lab-1)" in alarm.message for alarm in laboratory.word().alarms())


def test_results_are_never_delivered_into_themselves(laboratory):
    target = drop(laboratory, laboratory.folder / "results" / "copy", make=True)
    assert len(laboratory.deliver(target, settled, laboratory.bundle(1))) == 1
    assert not (laboratory.results / "copy" / "c-1").exists()


def test_a_newer_bundle_of_an_operation_takes_its_place_and_the_older_one_is_kept(laboratory, tmp_path):
    share = tmp_path / "share"
    share.mkdir()
    operation = laboratory.bundle(1, "one")
    assert laboratory.deliver(drop(laboratory, share), settled, operation) == []
    laboratory.bundle(1, "two")
    assert laboratory.deliver(drop(laboratory, share), settled, operation) == []
    assert (share / operation / "impedance.csv").read_text() == "two\n"
    (older,) = (share / SUPERSEDED / operation).iterdir()
    assert (older / "impedance.csv").read_text() == "one\n"


# -- the built-in core -----------------------------------------------------------------------------------------------
def test_a_campaign_that_cannot_be_evaluated_ends_all_the_same_and_is_evaluated_after_a_restart(
    laboratory, monkeypatch
):
    core = Core(laboratory.results)
    told = []

    def analyze(folders):
        if not told:
            raise AnalysisError("no charge was ever measured")
        return SimpleNamespace(to_json=lambda: {"schema": "labctl.analysis/1"})

    monkeypatch.setattr(delivery, "analysis", SimpleNamespace(analyze=analyze))

    async def end(journal, outbox):
        await outbox.end("c-1")
        told.extend(alarm.message for alarm in journal.alarms())
        return [(row.operation, row.target) for row in journal.waiting()]

    assert laboratory.deliver(core, end) == [("c-1", "core")]
    assert "no charge was ever measured" in told[0]
    assert laboratory.deliver(core, settled) == []
    assert json.loads((laboratory.results / "c-1" / "analysis.json").read_text()) == {"schema": "labctl.analysis/1"}
    assert list(core.evaluated) == ["c-1"]
    assert laboratory.word().alarms() == []


# -- what the journal says of it ---------------------------------------------------------------------------------------
def test_a_bundle_waits_from_the_commit_on_that_says_it_was_fetched(laboratory):
    operation = laboratory.bundle(1)
    journal = laboratory.journal()
    journal.request(operation, campaign="c-1", cell="bare-01", step="s", kind="eis", attempt=1, token="t")
    journal.leased(operation, ["zahner"])
    journal.intent(operation)
    journal.running(operation, {})
    journal.fetched(operation, operation, {}, Posting("a" * 64, ("there", "elsewhere")))
    (first, second) = LastWord(journal.path, WallClock()).waiting()
    assert [(row.operation, row.target, row.tries) for row in (first, second)] == [
        (operation, "there", 0),
        (operation, "elsewhere", 0),
    ]
    journal.outbox.delivered(first)
    # A person ends it all the same: another bundle, which is delivered again.
    journal.aborted(operation, "not wanted", {}, Posting("b" * 64, ("there", "elsewhere")))
    journal.outbox.delivered(second)
    journal.close()
    again = laboratory.journal()
    assert {(row.target, row.sha256[0]) for row in again.waiting()} == {("there", "b"), ("elsewhere", "b")}
    assert again.waiting() == LastWord(journal.path, WallClock()).waiting()
    again.close()
