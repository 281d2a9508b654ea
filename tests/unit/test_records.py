"""Record files: what was appended whole is read, what is damaged is told, nothing is made up."""

from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import DataError
from labctl.results import (
    SET_ASIDE,
    Record,
    RecordsRefused,
    RecordWriter,
    add_records,
    keep_records,
    last_record,
    read_records,
    recording,
)

OPERATION = "lab-1/bare-01/c001/01-charge/a1"


def records(first: int, count: int) -> list[Record]:
    return [
        Record(n, 60.0 * n, 1, 3.1 + 1e-4 * n, 2e-4, 0.012 * n, "C", 1 if n % 7 else 5)
        for n in range(first, first + count)
    ]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "bundle" / "records.log"


def write(path, *batches: list[Record]) -> None:
    with RecordWriter(path, OPERATION) as writer:
        for batch in batches:
            writer.append(batch)


def test_what_was_appended_is_read_back_to_the_last_bit(path):
    odd = Record(0, 0.1 + 0.2, 1, -1e-300, float("inf"), 1 / 3, "Größe 1", -1)
    write(path, [odd], records(1, 3))
    found = read_records(path)
    assert found.rows() == [odd, *records(1, 3)]
    assert (found.operation, found.torn, found.missing()) == (OPERATION, 0, ())


def test_a_file_is_gone_on_with_after_its_last_record(path):
    write(path, records(1, 5))
    with RecordWriter(path, OPERATION) as writer:
        assert writer.last == 5
        assert writer.append_new(records(3, 6)) == 3
        assert writer.append_new(records(3, 6)) == 0
    assert read_records(path).numbers() == list(range(1, 9))


def test_each_append_can_be_read_at_once(path):
    with RecordWriter(path, OPERATION) as writer:
        assert read_records(path).rows() == []
        writer.append(records(1, 2))
        assert read_records(path).numbers() == [1, 2]


def test_a_gap_is_refused_with_the_missing_numbers(path):
    with RecordWriter(path, OPERATION) as writer:
        writer.append(records(1, 5))
        with pytest.raises(RecordsRefused, match=r"record 6 to 8 is missing before 9") as caught:
            writer.append(records(9, 2))
        assert list(caught.value.missing) == [6, 7, 8]
        with pytest.raises(RecordsRefused, match="record 7 is missing"):
            writer.append([*records(6, 1), *records(8, 1)])
        assert writer.last == 5
    assert read_records(path).numbers() == [1, 2, 3, 4, 5]


def test_a_record_that_comes_again_is_refused(path):
    with RecordWriter(path, OPERATION) as writer:
        writer.append(records(1, 5))
        with pytest.raises(RecordsRefused, match="record 5 comes again") as caught:
            writer.append(records(5, 2))
        assert not caught.value.missing
    assert read_records(path).numbers() == [1, 2, 3, 4, 5]


def test_the_table_of_a_fetch_completes_the_file_with_its_own_digits(path):
    table = "record,time_s,step,voltage_V,current_A,capacity_C,state,end\n"
    table += "".join(f"{n},{60 * n},1,3.10{n},0.0002,0.01,C,1\n" for n in range(1, 8))
    with RecordWriter(path, OPERATION) as writer:
        writer.append(records(1, 4))
        assert writer.append_csv(table) == 3
        assert writer.append_csv(table) == 0
    found = read_records(path)
    assert found.numbers() == [1, 2, 3, 4, 5, 6, 7]
    assert found.csv().splitlines()[-1] == table.splitlines()[-1]
    fresh = path.with_name("fresh.log")
    with RecordWriter(fresh, OPERATION) as writer:
        writer.append_csv(table)
    assert read_records(fresh).csv() == table


@pytest.mark.parametrize(
    "table",
    [
        "record,volts\n1,3.1\n",
        "record,time_s,step,voltage_V,current_A,capacity_C,state,end\n1,60,1,3.1,0,0,C,1",
        "record,time_s,step,voltage_V,current_A,capacity_C,state,end\n1,60,1,three,0,0,C,1\n",
        "record,time_s,step,voltage_V,current_A,capacity_C,state,end\n\n",
    ],
)
def test_a_table_that_is_none_is_refused_whole(path, table):
    with RecordWriter(path, OPERATION) as writer:
        with pytest.raises(DataError, match=r"records\.log"):
            writer.append_csv(table)
        assert writer.last is None
    assert read_records(path).rows() == []


@pytest.mark.parametrize("state", ["a,b", 'a"b', "a\nb"])
def test_a_state_that_would_break_its_line_is_refused(path, state):
    with RecordWriter(path, OPERATION) as writer, pytest.raises(DataError, match="state"):
        writer.append([records(1, 1)[0]._replace(state=state)])
    assert read_records(path).rows() == []


def test_the_file_of_another_operation_is_left_alone(path):
    write(path, records(1, 3))
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"the records of lab-1/bare-01/c001/01-charge/a1, not of other"):
        RecordWriter(path, "other")
    path.write_text("my notes\n")
    with pytest.raises(DataError, match="another file"):
        RecordWriter(path, OPERATION)
    assert path.read_text() == "my notes\n"
    assert before.startswith(b"# ")


def test_a_table_reader_that_skips_comments_opens_it(path):
    import polars

    write(path, records(1, 3))
    table = polars.read_csv(path, comment_prefix="#")
    assert table["record"].to_list() == [1, 2, 3]
    assert table["voltage_V"].to_list() == [record.voltage_V for record in records(1, 3)]


def test_missing_records_are_told_against_what_the_instrument_has(path):
    write(path, records(3, 4))
    found = read_records(path)
    assert found.missing(first=1, last=9) == (range(1, 3), range(7, 10))
    assert found.missing(first=3, last=6) == ()


def test_records_that_a_power_cut_turned_to_nothing_can_be_had_again(path):
    write(path, records(1, 400))
    content = path.read_bytes()
    path.write_bytes(content[:-9000] + bytes(9000))
    with RecordWriter(path, OPERATION) as writer:
        assert writer.last is not None
        assert 200 < writer.last < 400
        writer.append_new(records(1, 400))
    assert path.read_bytes() == content


def test_a_disk_that_is_full_leaves_the_file_whole_and_takes_records_again_later(path, monkeypatch):
    class Full(recording.FileIO):
        room = True

        def write(self, data):
            return super().write(data) if self.room else super().write(bytes(data)[: len(data) // 2])

    monkeypatch.setattr(recording, "FileIO", Full)
    with RecordWriter(path, OPERATION) as writer:
        writer.append(records(1, 3))
        monkeypatch.setattr(Full, "room", False)
        with pytest.raises(DataError, match="disk full"):
            writer.append(records(4, 3))
        assert read_records(path).torn == 0
        monkeypatch.setattr(Full, "room", True)
        writer.append(records(4, 3))
    assert read_records(path).rows() == records(1, 6)


def test_appending_costs_the_same_however_long_the_file_is(tmp_path, monkeypatch):
    moved = {"read": 0, "written": 0, "calls": 0}

    class Counting(recording.FileIO):
        def read(self, size=-1):
            data = super().read(size)
            moved["read"] += len(data)
            moved["calls"] += 1
            return data

        def write(self, data):
            moved["written"] += len(data)
            moved["calls"] += 1
            return super().write(data)

    def cost(rows: int) -> dict[str, int]:
        path = tmp_path / f"{rows}.log"
        write(path, records(1_000_001 - rows, 1))
        lines = (f"{n},{60 * n}.0,1,3.1,0.0002,0.5,C,1".encode() for n in range(1_000_002 - rows, 1_000_001))
        with path.open("ab") as file:
            file.writelines(b"%s,%08x\n" % (line, crc32(line)) for line in lines)
        monkeypatch.setattr(recording, "FileIO", Counting)
        moved.update(read=0, written=0, calls=0)
        write(path, records(1_000_001, 10))
        monkeypatch.undo()
        assert path.stat().st_size > 30 * rows
        return dict(moved)

    assert cost(1_000_000) == cost(1_000)


CONTENT_ROWS = records(1, 12)


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("content") / "records.log"
    write(path, CONTENT_ROWS)
    return path.read_bytes()


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("scratch") / "records.log"


@given(share=st.floats(0, 1))
def test_wherever_the_file_is_cut_all_whole_lines_before_are_read(content, scratch, share):
    cut = round(share * len(content))
    scratch.write_bytes(content[:cut])
    whole = max(0, content[:cut].count(b"\n") - 2)
    found = read_records(scratch)
    assert found.rows() == CONTENT_ROWS[:whole]
    assert found.torn == (0 if content[:cut].endswith(b"\n") or not cut else 1)
    with RecordWriter(scratch, OPERATION) as writer:
        assert writer.last == (whole or None)
        writer.append_new(CONTENT_ROWS)
    assert scratch.read_bytes() == content


@given(data=st.data())
def test_a_changed_byte_costs_its_line_and_nothing_is_made_up(content, scratch, data):
    at = data.draw(st.integers(0, len(content) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda value: value != content[at]))
    scratch.write_bytes(content[:at] + bytes([value]) + content[at + 1 :])
    found = read_records(scratch)
    line = content[:at].count(b"\n") - 2
    # A line end parts two lines; where it is gone, neither can be told from the other.
    lost = {line, line + 1} if content[at : at + 1] == b"\n" else {line}
    assert found.rows() == [record for n, record in enumerate(CONTENT_ROWS) if n not in lost]
    assert found.torn >= 1
    assert (found.operation is None) == (line == -2)


@given(data=st.data())
def test_whatever_is_damaged_behind_opening_again_ends_in_an_unbroken_file(content, scratch, data):
    start = content.index(b"crc32\n") + 6
    at = data.draw(st.integers(start, len(content) - 1))
    scratch.write_bytes(content[:at] + data.draw(st.binary(max_size=300)))
    with RecordWriter(scratch, OPERATION) as writer:
        writer.append_new(CONTENT_ROWS)
    assert scratch.read_bytes() == content


TABLE = "record,time_s,step,voltage_V,current_A,capacity_C,state,end\n" + "".join(
    f"{n},{60 * n},1,3.{n:03d},0.0002,{0.012 * n:.10g},C,1\n" for n in range(1, 41)
)


def rows_of(first: int, last: int) -> str:
    head, *rows = TABLE.splitlines(keepends=True)
    return head + "".join(rows[first - 1 : last])


def whole(folder) -> bytes:
    """The record file of the table where it is written all at once."""
    (folder / "whole").mkdir()
    (folder / "whole" / "records.csv").write_text(TABLE)
    keep_records(folder / "whole", OPERATION)
    return (folder / "whole" / "records.log").read_bytes()


@pytest.mark.parametrize("torn", [b"", b"21,1260,1,3.02", b"\x00" * 50])
def test_records_kept_while_a_step_ran_become_the_file_that_is_written_in_one_go(tmp_path, torn):
    assert last_record(tmp_path, OPERATION) is None
    assert add_records(tmp_path, OPERATION, rows_of(1, 8)) == 8
    assert add_records(tmp_path, OPERATION, rows_of(5, 20)) == 20
    with (tmp_path / "records.log").open("ab") as file:
        file.write(torn)
    assert last_record(tmp_path, OPERATION) == 20
    (tmp_path / "records.csv").write_text(TABLE)
    keep_records(tmp_path, OPERATION)
    assert (tmp_path / "records.log").read_bytes() == whole(tmp_path)
    assert not (tmp_path / SET_ASIDE).exists()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data.replace(b",3.007,", b",3.707,"),
        lambda data: b"garbage" + data,
        lambda data: b"garbage" + b"".join(data.splitlines(keepends=True)[:2]),
        lambda data: data.replace(OPERATION.encode(), b"lab-1/other/c001/01-charge/a1"),
    ],
    ids=["a damaged line", "a damaged beginning", "nothing but that", "another operation's"],
)
def test_records_that_are_not_what_the_instrument_gave_at_the_end_are_set_aside(tmp_path, spoil):
    add_records(tmp_path, OPERATION, rows_of(1, 20))
    spoilt = spoil((tmp_path / "records.log").read_bytes())
    (tmp_path / "records.log").write_bytes(spoilt)
    (tmp_path / "records.csv").write_text(TABLE)
    keep_records(tmp_path, OPERATION)
    assert (tmp_path / "records.log").read_bytes() == whole(tmp_path)
    assert (tmp_path / SET_ASIDE).read_bytes() == spoilt


def test_a_gap_behind_what_is_kept_is_refused(tmp_path):
    add_records(tmp_path, OPERATION, rows_of(1, 8))
    with pytest.raises(RecordsRefused, match="record 9 is missing"):
        add_records(tmp_path, OPERATION, rows_of(10, 12))
    assert last_record(tmp_path, OPERATION) == 8
