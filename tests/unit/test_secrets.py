"""Credentials of the station file come from the environment or the key ring, and the message says which is missing."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from labctl.cli.secrets import resolve
from labctl.errors import UsageError


class KeyringError(Exception):
    """What a key ring raises that is locked."""


class Ring(ModuleType):
    """A key ring with one entry, which can be locked."""

    locked = False

    def __init__(self) -> None:
        super().__init__("keyring")
        self.errors = ModuleType("keyring.errors")
        vars(self.errors)["KeyringError"] = KeyringError

    def get_password(self, service: str, user: str) -> str | None:
        if self.locked:
            raise KeyringError("it is locked")
        return {("labctl-maccor", "labctl"): "much secret"}.get((service, user))


def test_a_credential_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_TEST_PASSWORD", "secret")
    assert resolve({"env": "LABCTL_TEST_PASSWORD"}) == "secret"
    monkeypatch.delenv("LABCTL_TEST_PASSWORD")
    with pytest.raises(UsageError, match="LABCTL_TEST_PASSWORD is not set"):
        resolve({"env": "LABCTL_TEST_PASSWORD"})
    with pytest.raises(UsageError, match="given as"):
        resolve(7)


def test_a_credential_is_taken_from_the_key_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Ring()
    monkeypatch.setitem(sys.modules, "keyring", ring)
    assert resolve({"keyring": "labctl-maccor"}) == "much secret"
    with pytest.raises(UsageError, match="no entry 'other' of 'labctl'"):
        resolve({"keyring": "other"})
    ring.locked = True
    with pytest.raises(UsageError, match="it is locked"):
        resolve({"keyring": "labctl-maccor"})


def test_without_a_key_ring_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(UsageError, match="this installation has none") as told:
        resolve({"keyring": "labctl-maccor"})
    assert "'keyring'" in str(told.value.hint)
