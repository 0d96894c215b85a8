"""What every pair of photos came to, as CSV: ``first,second,putative,inliers,configuration,verified,reason``."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import msgspec

from reconflow.core.matches import PairSummary
from reconflow.errors import InputError

_COLUMNS = tuple(field.name for field in msgspec.structs.fields(PairSummary))


def encode_pairs(pairs: Iterable[PairSummary]) -> bytes:
    """Return pairs as CSV, in their order."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows([getattr(pair, name) for name in _COLUMNS] for pair in pairs)
    return text.getvalue().encode()


def read_pairs(path: Path) -> list[PairSummary]:
    """Read pairs, in the order of the file.

    Raises
    ------
    InputError
        If the file cannot be read, or is no such table.

    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row | {"verified": row.get("verified") == "True"} for row in csv.DictReader(file)]
        return msgspec.convert(rows, list[PairSummary], strict=False)
    except (OSError, UnicodeDecodeError, csv.Error, msgspec.ValidationError) as error:
        raise InputError(f"{path} is no table of pairs: {error}") from error
