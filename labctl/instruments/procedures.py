"""Files in which a cycler's own software keeps its programs: what people carry from one tester to another."""

from __future__ import annotations

from typing import Protocol

from labctl.instruments.cycler import CyclerProgram


class ProcedureFormat(Protocol):
    """What a driver offers as ``procedures`` where its cycler's programs can be written and read without the cycler.

    Attributes
    ----------
    suffix : str
        Of such files.
    """

    suffix: str

    @staticmethod
    def write(program: CyclerProgram) -> tuple[bytes, tuple[str, ...]]:
        """Give the file, and a line for everything that it does not say.

        Raises
        ------
        OutOfRange
            The cycler cannot do what a step asks for.
        """

    @staticmethod
    def read(data: bytes, name: str) -> tuple[CyclerProgram, tuple[str, ...]]:
        """Give the program of a file, and a line for everything that it does not say.

        A limit of the safety limits is 0 where the file has none, and so is the current of a hold without a limit.

        Raises
        ------
        ValueError
            It is no such file.
        """
