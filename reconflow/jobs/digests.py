"""What is stored in place of refresh tokens and API keys: long and random, unlike passwords they need no salt."""

import hashlib


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a secret, in hex."""
    return hashlib.sha256(secret.encode()).hexdigest()
