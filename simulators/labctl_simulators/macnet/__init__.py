"""A MACCOR Series 4000 tester as the network sees it: MacNet over TCP, procedures, and its text exports."""

from labctl_simulators.macnet.simulator import MacnetSimulator

__all__ = ["MacnetSimulator"]
