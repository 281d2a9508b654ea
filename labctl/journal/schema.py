"""The tables as of :data:`VERSION`. One file per laboratory: ``labctl.sqlite``."""

from __future__ import annotations

from typing import Final

from sqlalchemy import JSON, Column, Integer, MetaData, String, Table, Text, UniqueConstraint

#: Of the tables below; an older file is brought here by :mod:`labctl.journal.migrations`.
VERSION: Final = 3

metadata = MetaData()

laboratory = Table("laboratory", metadata, Column("key", String, primary_key=True), Column("value", Text))

campaigns = Table(
    "campaigns",
    metadata,
    Column("campaign", String, primary_key=True),
    Column("mode", String, nullable=False),
    Column("files", JSON, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("started", String, nullable=False),
    Column("ended", String),
)

operations = Table(
    "operations",
    metadata,
    Column("order", Integer, primary_key=True, autoincrement=True),
    Column("operation", String, nullable=False, unique=True),
    Column("campaign", String, nullable=False, index=True),
    Column("cell", String, nullable=False, index=True),
    Column("step", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("token", String, nullable=False),
    Column("status", String, nullable=False),
    Column("resources", JSON, nullable=False),
    Column("fence", Integer),
    Column("handle", JSON),
    Column("bundle", String),
    Column("result", JSON, nullable=False),
    Column("error", Text),
    Column("times", JSON, nullable=False),
    UniqueConstraint("token", name="a_token_is_used_once"),
)

positions = Table(
    "positions",
    metadata,
    Column("cell", String, primary_key=True),
    Column("place", String, nullable=False),
    Column("since", String, nullable=False),
)

cell_states = Table(
    "cell_states",
    metadata,
    Column("campaign", String, primary_key=True),
    Column("cell", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("at", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", String, nullable=False),
    Column("wanted", String),
)

commands = Table(
    "commands",
    metadata,
    Column("id", String, primary_key=True),
    Column("at", String, nullable=False),
    Column("op", String, nullable=False),
    Column("campaign", String),
    Column("cell", String),
    Column("user", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("data", JSON, nullable=False),
    Column("answer", JSON, nullable=False),
)

confirmations = Table(
    "confirmations",
    metadata,
    Column("token", String, primary_key=True),
    Column("cell", String, nullable=False),
    Column("barcode", String, nullable=False),
    Column("user", String, nullable=False),
    Column("at", String, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", String, nullable=False),
    Column("category", String, nullable=False),
    Column("message", Text, nullable=False),
    Column("cell", String, index=True),
    Column("operation", String),
    Column("instrument", String),
    Column("data", JSON, nullable=False),
)

alarms = Table(
    "alarms",
    metadata,
    Column("alarm", Integer, primary_key=True, autoincrement=True),
    Column("at", String, nullable=False),
    Column("severity", String, nullable=False),
    Column("message", Text, nullable=False),
    Column("cell", String),
    Column("instrument", String),
    Column("cleared", String),
    Column("acknowledged", String),
    Column("by", String),
)

outbox = Table(
    "outbox",
    metadata,
    Column("operation", String, primary_key=True),
    Column("target", String, primary_key=True),
    Column("campaign", String, nullable=False),
    Column("sha256", String, nullable=False),
    Column("since", String, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next_try", String),
    Column("error", Text),
    Column("delivered", String),
)
