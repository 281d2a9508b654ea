"""The endpoint answers those who know its token, and survives everybody else."""

import asyncio
import json
import os
import stat
import subprocess
import sys
import threading

import pytest

from labctl.engine.endpoint import Endpoint, RefusedByOrchestrator, ask
from labctl.engine.lock import LaboratoryLock, read
from labctl.errors import Locked, NoOrchestrator, NotConfirmed


async def _echo(request):
    return {"said": request["word"]}


async def _refuse(request):
    raise NotConfirmed("no")


@pytest.fixture
def laboratory(tmp_path):
    """A folder with an endpoint that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    endpoint = Endpoint("secret", {"echo": _echo, "refuse": _refuse})
    port = asyncio.run_coroutine_threadsafe(endpoint.start(), loop).result(10)
    lock = LaboratoryLock(tmp_path)
    lock.take()
    lock.publish(port=port, token="secret")
    yield tmp_path
    asyncio.run_coroutine_threadsafe(endpoint.stop(), loop).result(10)
    lock.release()
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def test_a_client_finds_the_orchestrator_by_its_folder(laboratory):
    assert ask(laboratory, "echo", word="hello") == {"said": "hello"}


def test_what_the_orchestrator_declines_carries_its_exit_code(laboratory):
    with pytest.raises(RefusedByOrchestrator) as caught:
        ask(laboratory, "refuse")
    assert caught.value.exit_code == 8


def test_nobody_there_is_exit_3(tmp_path):
    with pytest.raises(NoOrchestrator) as caught:
        ask(tmp_path, "status")
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "line", [b"nonsense\n", b"{}\n", b'{"token": "guess", "op": "echo"}\n', b'{"token": "secret", "op": "format"}\n']
)
def test_rubbish_and_wrong_tokens_change_nothing_and_the_line_lives_on(laboratory, line):
    async def main() -> tuple[dict, dict]:
        reader, writer = await asyncio.open_connection("127.0.0.1", read(laboratory)["port"])
        writer.write(line)
        refused = json.loads(await reader.readline())
        writer.write(b'{"token": "secret", "op": "echo", "word": "still here"}\n')
        served = json.loads(await reader.readline())
        writer.close()
        await writer.wait_closed()
        return refused, served

    refused, served = asyncio.run(main())
    assert refused["ok"] is False
    assert served == {"ok": True, "said": "still here"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps file rights elsewhere")
def test_only_its_owner_can_read_the_token(laboratory):
    assert stat.S_IMODE((laboratory / "labctl.lock").stat().st_mode) == 0o600


def test_a_second_orchestrator_is_refused_with_the_first_ones_name(tmp_path):
    holder = LaboratoryLock(tmp_path)
    holder.take()
    holder.publish(port=1, token="x")
    other = (
        "import sys; from pathlib import Path; from labctl.engine.lock import LaboratoryLock\n"
        "from labctl.errors import Locked\n"
        "try: LaboratoryLock(Path(sys.argv[1])).take()\n"
        "except Locked as error: print(error); sys.exit(5)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", other, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )
    holder.release()
    assert ran.returncode == 5
    assert str(os.getpid()) in ran.stdout


def test_a_lock_goes_with_its_holder(tmp_path):
    first = LaboratoryLock(tmp_path)
    first.take()
    first.release()
    second = LaboratoryLock(tmp_path)
    try:
        second.take()
    except Locked:
        pytest.fail("the lock outlived its holder")
    second.release()
