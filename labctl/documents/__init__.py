"""Files that people write: YAML 1.2 with a line and a column for everything, checked against models.

The way of every such file: :func:`read` or :func:`load` turns its text into a :class:`Document`, :func:`validate` turns
the document into a model, and whatever is wrong on the way becomes :class:`~labctl.errors.Mistake` objects at their
place, all of them in one :class:`~labctl.errors.InvalidFile`. What the files mean is not known here.
"""

from labctl.documents.loading import Document, Path, known, load, read
from labctl.documents.numbers import Numbers
from labctl.documents.quantities import (
    Amount,
    AmountOf,
    Angle,
    Area,
    Duration,
    Frequency,
    Level,
    LevelOf,
    Power,
    Quantity,
    Ratio,
    Shift,
    Temperature,
    TemperatureDifference,
    Voltage,
)
from labctl.documents.validation import (
    FileModel,
    Model,
    describe,
    expected,
    in_order,
    nearest,
    require_kind,
    schema,
    suggest,
    validate,
)
from labctl.documents.words import Name, Text, Word

__all__ = [
    "Amount",
    "AmountOf",
    "Angle",
    "Area",
    "Document",
    "Duration",
    "FileModel",
    "Frequency",
    "Level",
    "LevelOf",
    "Model",
    "Name",
    "Numbers",
    "Path",
    "Power",
    "Quantity",
    "Ratio",
    "Shift",
    "Temperature",
    "TemperatureDifference",
    "Text",
    "Voltage",
    "Word",
    "describe",
    "expected",
    "in_order",
    "known",
    "load",
    "nearest",
    "read",
    "require_kind",
    "schema",
    "suggest",
    "validate",
]
