"""What a cell goes through: its state machine. Pure: no instrument, no clock, no files."""

from labctl.cell.machine import CellMachine, Transition, transitions

__all__ = ["CellMachine", "Transition", "transitions"]
