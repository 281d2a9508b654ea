"""Credentials of the station file: from the environment or the key ring, never from the file itself, never logged."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Any, Final

from labctl.errors import UsageError

#: Under whose name labctl's entries are kept in a key ring: ``keyring set NAME labctl``.
OWNER: Final = "labctl"


def resolve(value: Any) -> str:
    """Resolve a credential of the station file.

    Parameters
    ----------
    value
        ``{"env": NAME}``, ``{"keyring": NAME}``, or the text itself where no file is involved.

    Raises
    ------
    UsageError
        The environment variable is not set, the key ring has no such entry, or it can't be used here.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) and "env" in value:
        found = os.environ.get(str(value["env"]))
        if not found:
            raise UsageError(f"environment variable {value['env']} is not set", hint="the station file names it")
        return found
    if isinstance(value, Mapping) and "keyring" in value:
        return _from_key_ring(str(value["keyring"]))
    raise UsageError("a credential is given as {env: NAME} or {keyring: NAME}")


def _from_key_ring(name: str) -> str:
    # Imported only where a station file asks for it: most laboratories keep credentials in the environment.
    try:
        keyring = importlib.import_module("keyring")
    except ImportError as error:
        raise UsageError(
            f"credential '{name}' is in a key ring, and this installation has none",
            hint="install the Python package 'keyring', or give the credential as {env: NAME}",
        ) from error
    try:
        found = keyring.get_password(name, OWNER)
    except keyring.errors.KeyringError as error:
        raise UsageError(f"credential '{name}': the key ring can't be used ({error})") from error
    if not found:
        raise UsageError(f"the key ring has no entry '{name}' of '{OWNER}'", hint=f"keyring set {name} {OWNER}")
    return str(found)
