"""What happened: the durable record of a laboratory, and its state."""

from labctl.journal.journal import Journal
from labctl.journal.rows import ENDED, HELD, Alarm, CampaignRow, Event, OperationRow, Status

__all__ = ["ENDED", "HELD", "Alarm", "CampaignRow", "Event", "Journal", "OperationRow", "Status"]
