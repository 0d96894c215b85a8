"""TLS towards a remote scheduler: certificates checked before they are used, and one sentence when they do not fit."""

from pathlib import Path

from distributed.security import Security

from reconflow.errors import ClusterError


def tls(*, ca: str, cert: str, key: str) -> Security:
    """Return the certificates for a scheduler at a ``tls://`` address, for its clients and its workers alike.

    Raises
    ------
    ClusterError
        If a file is missing or is no such thing.

    """
    for path in (ca, cert, key):
        if not Path(path).is_file():
            raise ClusterError(f"certificates for the scheduler: {path or 'CA, certificate or key'} is missing")
    security = Security(
        tls_ca_file=ca,
        tls_client_cert=cert,
        tls_client_key=key,
        tls_worker_cert=cert,
        tls_worker_key=key,
        require_encryption=True,
    )
    try:
        security.get_connection_args("client")
    except OSError as error:
        raise ClusterError(f"certificates for the scheduler: {ca}, {cert} and {key} are no PEM that fits") from error
    return security


def unreachable(address: str, security: Security | None, error: BaseException) -> ClusterError:
    """Return what a person is told when a connection to a scheduler fails."""
    wants = address.startswith("tls://")
    if wants != (security is not None):
        told = (
            "needs a CA, a certificate and a key" if wants else "speaks no TLS: certificates are for tls:// addresses"
        )
        return ClusterError(f"the scheduler at {address} {told}")
    if wants and any("TLS" in str(cause) or "SSL" in str(cause) for cause in _causes(error)):
        return ClusterError(f"the scheduler at {address} and we refuse each other's certificates: check CA and key")
    return ClusterError(f"the scheduler at {address} cannot be reached: is it running?")


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found:
        found.append(current)
        current = current.__cause__ or current.__context__
    return found
