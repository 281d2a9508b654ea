"""Operator: a person who moves a cell and confirms with its barcode. An instrument like the others, only slower."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TransferRequest:
    """What a person is asked to do.

    Attributes
    ----------
    token : str
        The operation's token; a confirmation names the cell, the orchestrator finds the request.
    cell, barcode : str
        Which cell; the barcode must be read back.
    source, target : str
        Places such as ``cabinet/1`` and ``probe/1``.
    checklist : tuple of str
        What to do on the way.
    since : str
        UTC time of the request, ISO 8601.
    """

    token: str
    cell: str
    barcode: str
    source: str
    target: str
    checklist: tuple[str, ...]
    since: str


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a person confirmed.

    Attributes
    ----------
    cell, barcode : str
        As read from the cell.
    user : str
        Who.
    at : str
        UTC time, ISO 8601.
    """

    cell: str
    barcode: str
    user: str
    at: str
