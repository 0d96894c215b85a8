"""Access tokens: short-lived JWTs that name the account, the role and themselves."""

import time
import uuid

import jwt
import msgspec

from reconflow.errors import CredentialsError
from reconflow.jobs.records import Role, User

_ALGORITHM = "HS256"
_ISSUER = "reconflow"


class Access(msgspec.Struct, frozen=True):
    """What a request may do, and in whose name."""

    user: User
    jti: str
    """The token's own id; empty for API keys."""
    expires_at: float


def encode_token(user: User, *, secret: str, lifetime_s: int) -> str:
    """Return an access token for a user."""
    now = int(time.time())
    claims = {"sub": user.user_id, "name": user.name, "role": user.role, "iss": _ISSUER, "iat": now}
    return jwt.encode(claims | {"exp": now + lifetime_s, "jti": uuid.uuid4().hex}, secret, algorithm=_ALGORITHM)


def decode_token(token: str, *, secret: str) -> Access:
    """Return whose token it is.

    Raises
    ------
    CredentialsError
        If it is malformed, expired, signed with another secret or for another service.

    """
    try:
        claims = jwt.decode(
            token, secret, algorithms=[_ALGORITHM], issuer=_ISSUER, options={"require": ["sub", "exp", "jti", "role"]}
        )
        role: Role = msgspec.convert(claims["role"], Role)
        user = User(user_id=str(claims["sub"]), name=str(claims.get("name", "")), role=role, created_at=0.0)
        return Access(user, str(claims["jti"]), float(claims["exp"]))
    except jwt.ExpiredSignatureError as error:
        raise CredentialsError("The access token has expired") from error
    except (jwt.InvalidTokenError, msgspec.ValidationError) as error:
        raise CredentialsError("The access token is not valid") from error
