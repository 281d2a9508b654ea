"""The catalogue of messages, and the envelope of the JSON port. Data in, data out.

Known: classes, numbers, members, texts of errors. Guessed: codes and shape of error objects, that refusals are the
texts of the binary table, and what comes back before a login (``MacNet error``; who the tester is, it tells everybody).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from labctl_simulators.macnet import advanced, information, orders, readings
from labctl_simulators.macnet.clients import Client
from labctl_simulators.macnet.codes import Outcome
from labctl_simulators.macnet.members import INVALID_PARAMS, Answer, Params, RpcError
from labctl_simulators.macnet.tester import Tester

Message = tuple[int, int]

MESSAGES: Final[Mapping[Message, Callable[[Tester, Params], Answer]]] = {
    (1, 1): information.version,
    (1, 2): information.general,
    (1, 3): information.procedure_exists,
    (1, 4): information.test_exists,
    (3, 1): information.specification,
    (3, 2): information.calibration,
    (4, 1): readings.statuses,
    (4, 2): readings.of_several("Voltage", "V"),
    (4, 3): readings.of_several("Current", "I"),
    (4, 4): readings.auxiliary_values,
    (4, 5): readings.auxiliary_units,
    (4, 6): readings.names,
    (4, 7): readings.status,
    (4, 8): readings.flags,
    (4, 9): readings.of_several("TestTimes", "test"),
    (4, 10): readings.end_status,
    (5, 1): orders.set_flags,
    (6, 1): orders.select,
    (6, 2): orders.start,
    (6, 3): orders.order(Tester.suspend),
    (6, 4): orders.order(Tester.resume),
    (6, 5): orders.order(Tester.clear),
    (6, 6): orders.order(Tester.clear),
    (6, 9): orders.set_variable,
    (6, 10): orders.set_safety,
    (6, 11): orders.check,
    (6, 13): advanced.start,
}
#: Messages whose answer depends on who asks.
PERSONAL: Final[Mapping[Message, Callable[[Tester, Params, Client], Answer]]] = {
    (1, 5): information.listing,
    (6, 7): orders.start_direct,
    (6, 8): orders.set_direct,
    (8, 1): orders.log_in,
    (8, 2): orders.log_out,
}
#: What is answered before a login.
_OPEN: Final = frozenset({(1, 1), (1, 2), (8, 1), (8, 2)})
#: Smart batteries: known messages to a tester that has no board for them, as (1,2) says.
_NO_BOARD: Final = frozenset((7, number) for number in range(1, 25))
#: Messages of the binary port alone.
_BINARY_ONLY: Final = frozenset({(1, 6), (1, 7), (6, 12)})


def admitted(tester: Tester, message: Message, client: Client) -> bool:
    """Whether this connection may send that message now."""
    return tester.settings.login is None or message in _OPEN or tester.clients.logged_in(client.host)


def result(tester: Tester, message: Message, params: Params, client: Client) -> Answer:
    """Do what one message wants and give the members of its answer.

    Raises
    ------
    RpcError
        With the text of the error object.
    """
    if message in _NO_BOARD:
        raise RpcError(-32000, "MacNet error")
    if message not in MESSAGES and message not in PERSONAL:
        known = {fclass for fclass, _ in (*MESSAGES, *PERSONAL, *_NO_BOARD, *_BINARY_ONLY)}
        raise RpcError(INVALID_PARAMS, "Invalid FNum" if message[0] in known else "Invalid FClass")
    if not admitted(tester, message, client):
        raise RpcError(-32000, "MacNet error")
    if message in PERSONAL:
        return PERSONAL[message](tester, params, client)
    return MESSAGES[message](tester, params)


def answer(tester: Tester, request: Any, client: Client) -> Answer:
    """Answer one JSON-RPC request; ``None`` for one that is no JSON."""
    number = request.get("id") if isinstance(request, dict) else None
    try:
        if request is None:
            raise RpcError(-32700, "Parse error")
        if (
            not isinstance(request, dict)
            or number is None
            or request.get("jsonrpc") != "2.0"
            or request.get("method") != "MacNet"
        ):
            raise RpcError(-32600, "Method MacNet, jsonrpc 2.0 or id not found")
        if tester.stumbles():
            raise RpcError(-32000, "MacNet error")
        members = _members(tester, request, request.get("params"), client)
    except RpcError as error:
        return {"jsonrpc": "2.0", "error": {"code": error.code, "message": str(error)}, "id": number}
    if members is request:
        return request
    return {"jsonrpc": "2.0", "result": members, "id": number}


def _members(tester: Tester, request: Answer, params: Any, client: Client) -> Answer:
    if not isinstance(params, dict):
        raise RpcError(INVALID_PARAMS, "Invalid params")
    for key in ("FClass", "FNum"):
        if not isinstance(params.get(key), int) or isinstance(params[key], bool):
            raise RpcError(INVALID_PARAMS, f'"{key}" key does not exist or value syntax error')
    message = params["FClass"], params["FNum"]
    if message == (0, 0):
        return request
    members = result(tester, message, params, client)
    said = {key: value.text if isinstance(value, Outcome) else value for key, value in members.items()}
    return {"FClass": message[0], "FNum": message[1], **said}
