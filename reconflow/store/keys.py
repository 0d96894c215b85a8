"""Cache keys that hold everything that made a value.

A key is SHA-256 over the parts, each with its length in front, so that no two different lists of parts run into the
same bytes. Peers that skip by file name, or leave a parameter out, hand back stale features.

>>> fingerprint("ab", "c") == fingerprint("a", "bc")
False
"""

import hashlib
from typing import Any

import msgspec


def fingerprint(*parts: Any) -> str:
    """Return the hex SHA-256 of ``parts``: strings, numbers, structs, and lists, tuples or dictionaries of them.

    A struct counts with its class name and every one of its fields, so a changed option is a changed key.
    """
    digest = hashlib.sha256()
    for part in parts:
        name = type(part).__name__ if isinstance(part, msgspec.Struct) else ""
        for data in (name.encode(), msgspec.json.encode(part, order="deterministic")):
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)
    return digest.hexdigest()
