"""The virtual cell: what a lithium-metal cell on copper would show to a cycler, a spectrometer and a potentiostat."""

from labctl_simulators.cell.course import Course, Current, Drive, Rest, Voltage
from labctl_simulators.cell.parameters import Parameters, draw
from labctl_simulators.cell.spectrum import Line
from labctl_simulators.cell.state import CellState, CycleRecord
from labctl_simulators.cell.virtual_cell import VirtualCell

__all__ = [
    "CellState",
    "Course",
    "Current",
    "CycleRecord",
    "Drive",
    "Line",
    "Parameters",
    "Rest",
    "VirtualCell",
    "Voltage",
    "draw",
]
