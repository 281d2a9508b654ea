"""Plans of campaigns as data, and what can be read from them. Pure: no engine, no clock, no files."""

from labctl.planning.forecast import Forecast, forecast_of
from labctl.planning.schedule import (
    SCHEMA,
    Action,
    Bound,
    Equipment,
    Load,
    Schedule,
    Span,
    Task,
    Waiting,
    alone_s,
    fresh_waiting,
    instrument_of,
    loads,
    lower_bound,
    merged,
)

__all__ = [
    "SCHEMA",
    "Action",
    "Bound",
    "Equipment",
    "Forecast",
    "Load",
    "Schedule",
    "Span",
    "Task",
    "Waiting",
    "alone_s",
    "forecast_of",
    "fresh_waiting",
    "instrument_of",
    "loads",
    "lower_bound",
    "merged",
]
