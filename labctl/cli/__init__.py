"""The command line: composes everything else and shows it. One thin face over queries and commands."""

from __future__ import annotations

import sys


def main() -> None:
    """Run ``labctl``; every error of ours becomes one message on stderr and its exit code."""
    from labctl.cli.app import run_app

    sys.exit(run_app(sys.argv[1:]))


__all__ = ["main"]
