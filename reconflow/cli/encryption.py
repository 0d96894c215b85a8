"""The options for certificates of a remote scheduler; the service's settings of these names are their defaults."""

import argparse
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed.security import Security

_PREFIX = "RECONFLOW_SCHEDULER_TLS_"
_OPTIONS = {"ca": "CA certificate", "cert": "our certificate", "key": "our key"}


def add_tls_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--tls-ca``, ``--tls-cert`` and ``--tls-key``."""
    for name, meaning in _OPTIONS.items():
        told = f"{meaning}, for a tls:// scheduler (default: {_PREFIX}{name.upper()})"
        parser.add_argument(f"--tls-{name}", metavar="FILE", default=None, help=told)


def security_of(arguments: argparse.Namespace) -> "Security | None":
    """Return the certificates that were given, as :func:`reconflow.open_client` takes them."""
    given = {
        name: getattr(arguments, f"tls_{name}") or os.environ.get(f"{_PREFIX}{name.upper()}", "") for name in _OPTIONS
    }
    if not any(given.values()):
        return None
    from reconflow.pipeline.certificates import tls

    return tls(**given)
