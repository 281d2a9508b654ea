"""Files that people write: YAML 1.2 with a line and a column for everything, checked against models.

The way of every such file: :func:`read` or :func:`load` turns its text into a :class:`Document`, :func:`validate` turns
the document into a model, and whatever is wrong on the way becomes :class:`~labctl.errors.Mistake` objects at their
place, all of them in one :class:`~labctl.errors.InvalidFile`. What the files mean is not known here.
"""

from labctl.documents.editors import for_editors
from labctl.documents.loading import Document, Path, known, load, read
from labctl.documents.numbers import Numbers
from labctl.documents.quantities import (
    C_RATE,
    Amount,
    AmountOf,
    Angle,
    Area,
    Capacity,
    Current,
    Duration,
    Frequency,
    Level,
    LevelOf,
    Mass,
    Power,
    Quantity,
    Ratio,
    Shift,
    Sizes,
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
    "C_RATE",
    "Amount",
    "AmountOf",
    "Angle",
    "Area",
    "Capacity",
    "Current",
    "Document",
    "Duration",
    "FileModel",
    "Frequency",
    "Level",
    "LevelOf",
    "Mass",
    "Model",
    "Name",
    "Numbers",
    "Path",
    "Power",
    "Quantity",
    "Ratio",
    "Shift",
    "Sizes",
    "Temperature",
    "TemperatureDifference",
    "Text",
    "Voltage",
    "Word",
    "describe",
    "expected",
    "for_editors",
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
