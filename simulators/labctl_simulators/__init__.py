"""A laboratory that is not there: virtual cells, and instruments that speak their vendors' wire protocols.

Nothing here imports the orchestrator or its drivers: what they share is bytes on a socket.
"""
