"""What there is: station and cells files, their models, and look-ups of places and leads."""

from labctl.station.delivery import CORE, ToCore, ToFolder, ToHttp
from labctl.station.files import (
    cells_schema,
    load_cells,
    load_station,
    read_cells,
    read_station,
    station_schema,
)
from labctl.station.hours import Hours, parse_hours
from labctl.station.instruments import KNOWN_DRIVERS, Settled
from labctl.station.models import AMBIENT, Cell, Cells, Operator, Place, SocFactor, Station, SwitchedLeads
from labctl.station.simulated import impossible, impossible_cells

__all__ = [
    "AMBIENT",
    "CORE",
    "KNOWN_DRIVERS",
    "Cell",
    "Cells",
    "Hours",
    "Operator",
    "Place",
    "Settled",
    "SocFactor",
    "Station",
    "SwitchedLeads",
    "ToCore",
    "ToFolder",
    "ToHttp",
    "cells_schema",
    "impossible",
    "impossible_cells",
    "load_cells",
    "load_station",
    "parse_hours",
    "read_cells",
    "read_station",
    "station_schema",
]
