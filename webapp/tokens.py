"""Access tokens: short-lived JWTs that name the account, the role and themselves."""

import time
import uuid
from typing import Any

import jwt
import msgspec

from reconflow.errors import CredentialsError
from reconflow.jobs.records import Role, User

_ALGORITHM = "HS256"
_ISSUER = "reconflow"
_LINK_ISSUER = "reconflow/link"
"""Another issuer, so that neither kind of token passes for the other."""


class Access(msgspec.Struct, frozen=True):
    """What a request may do, and in whose name."""

    user: User
    jti: str
    """The token's own id; empty for API keys."""
    expires_at: float
    issued_at: float


def encode_token(user: User, *, secret: str, lifetime_s: int) -> str:
    """Return an access token for a user."""
    return _encode(user, {"iss": _ISSUER}, secret=secret, lifetime_s=lifetime_s)


def encode_link(user: User, job_id: str, *, secret: str, lifetime_s: int) -> str:
    """Return a token that lets a browser fetch what one job made, without a header, as long as its user may."""
    return _encode(user, {"iss": _LINK_ISSUER, "job": job_id}, secret=secret, lifetime_s=lifetime_s)


def decode_link(token: str, job_id: str, *, secret: str) -> Access:
    """Return in whose name a link was made.

    Raises
    ------
    CredentialsError
        If it is malformed, expired, or for another job.

    """
    claims = _claims(token, secret=secret, issuer=_LINK_ISSUER, what="link", require=("job",))
    if claims["job"] != job_id:
        raise CredentialsError("The link is for another job")
    return _access(claims, "link")


def decode_token(token: str, *, secret: str) -> Access:
    """Return whose token it is.

    Raises
    ------
    CredentialsError
        If it is malformed, expired, signed with another secret or for another service.

    """
    return _access(_claims(token, secret=secret, issuer=_ISSUER, what="access token"), "access token")


def _encode(user: User, claims: dict[str, str], *, secret: str, lifetime_s: int) -> str:
    now = time.time()  # not in whole seconds: tokens of before a new password are told from those of after it
    whose: dict[str, Any] = {"sub": user.user_id, "name": user.name, "role": user.role}
    itself = {"iat": now, "exp": now + lifetime_s, "jti": uuid.uuid4().hex}
    return jwt.encode(whose | itself | claims, secret, algorithm=_ALGORITHM)


def _claims(token: str, *, secret: str, issuer: str, what: str, require: tuple[str, ...] = ()) -> dict[str, Any]:
    required = ["sub", "iat", "exp", "jti", "role", *require]
    try:
        return jwt.decode(token, secret, algorithms=[_ALGORITHM], issuer=issuer, options={"require": required})
    except jwt.ExpiredSignatureError as error:
        raise CredentialsError(f"The {what} has expired") from error
    except jwt.InvalidTokenError as error:
        raise CredentialsError(f"The {what} is not valid") from error


def _access(claims: dict[str, Any], what: str) -> Access:
    try:
        role: Role = msgspec.convert(claims["role"], Role)
    except msgspec.ValidationError as error:
        raise CredentialsError(f"The {what} is not valid") from error
    user = User(user_id=str(claims["sub"]), name=str(claims.get("name", "")), role=role, created_at=0.0)
    return Access(user, str(claims["jti"]), float(claims["exp"]), float(claims["iat"]))
