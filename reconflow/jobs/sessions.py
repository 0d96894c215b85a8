"""Sessions of who has logged in: refresh tokens that work once, and access tokens that may be made worthless."""

import secrets
import time
import uuid
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from reconflow.errors import CredentialsError
from reconflow.jobs.database import columns_of, reading, struct_of, writing
from reconflow.jobs.digests import digest_of
from reconflow.jobs.records import TokenPair, User
from reconflow.jobs.tables import refresh_tokens, revoked_tokens, users

_USER_COLUMNS = columns_of(users, User)


class SessionBook:
    """The sessions in a ledger's database. Every method may be called from any thread."""

    def __init__(self, engine: Engine):
        self._engine = engine

    def start(self, user: User, *, lifetime_s: float) -> TokenPair:
        """Return a first refresh token for a user who has just logged in."""
        with writing(self._engine) as connection:
            # A used token is kept as long as its session may live, so that its reuse is noticed.
            connection.execute(delete(refresh_tokens).where(refresh_tokens.c.expires_at < time.time() - lifetime_s))
            return _issue(connection, user, family=str(uuid.uuid4()), lifetime_s=lifetime_s)

    def rotate(self, refresh_token: str, *, lifetime_s: float, leeway_s: float = 0.0) -> TokenPair:
        """Trade a refresh token for the next one. A token that was traded before ends its whole session.

        For ``leeway_s`` after its first trade a token may be traded again: a browser that reloads while the answer is
        on its way never sees it.

        Raises
        ------
        CredentialsError
            If the token is unknown, expired or used.

        """
        mine = refresh_tokens.c.hash == digest_of(refresh_token)
        with writing(self._engine) as connection:
            row = connection.execute(select(refresh_tokens).where(mine).with_for_update()).mappings().one_or_none()
            now = time.time()
            if row is not None and row["expires_at"] > now and (leeway_s or not row["used"]):
                if not row["used"]:
                    connection.execute(update(refresh_tokens).where(mine).values(used=True, expires_at=now + leeway_s))
                query = select(*_USER_COLUMNS).where(users.c.user_id == row["user_id"])
                user = struct_of(connection.execute(query).mappings().one(), User)
                return _issue(connection, user, family=row["family"], lifetime_s=lifetime_s)
            if row is not None:  # stolen, or sent twice: nobody can tell, so everybody logs in again
                connection.execute(delete(refresh_tokens).where(refresh_tokens.c.family == row["family"]))
        raise CredentialsError("The session has ended: log in again")

    def end(self, refresh_token: str) -> None:
        """End the session a refresh token belongs to."""
        family = (
            select(refresh_tokens.c.family).where(refresh_tokens.c.hash == digest_of(refresh_token)).scalar_subquery()
        )
        tokens = refresh_tokens.c.family == family
        with writing(self._engine) as connection:
            # Wait for a trade that is under way, and only then look which tokens there are.
            connection.execute(select(refresh_tokens.c.hash).where(tokens).with_for_update())
            connection.execute(delete(refresh_tokens).where(tokens))

    def revoke_access(self, jti: str, expires_at: float) -> None:
        """Make an access token worthless before it expires."""
        with writing(self._engine) as connection:
            connection.execute(delete(revoked_tokens).where(revoked_tokens.c.expires_at < time.time()))
            connection.execute(delete(revoked_tokens).where(revoked_tokens.c.jti == jti))
            connection.execute(insert(revoked_tokens).values(jti=jti, expires_at=expires_at))

    def user_of_access(self, user_id: str, jti: str, *, issued_at: float) -> User:
        """Return the account of an access token, or of a link, as it is now.

        Raises
        ------
        CredentialsError
            If the token was made worthless, alone or with all of its account, or the account is gone.

        """
        revoked = select(func.count()).where(revoked_tokens.c.jti == jti).scalar_subquery()
        query = select(*_USER_COLUMNS, users.c.tokens_from, revoked.label("revoked")).where(users.c.user_id == user_id)
        with reading(self._engine) as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None or row["revoked"] or issued_at < row["tokens_from"]:
            raise CredentialsError("The token was revoked")
        return struct_of(row, User)


def _issue(connection: Connection, user: User, *, family: str, lifetime_s: float) -> TokenPair:
    token = secrets.token_urlsafe(32)
    row: dict[str, Any] = {"hash": digest_of(token), "family": family, "user_id": user.user_id, "used": False}
    expires_at = time.time() + lifetime_s
    connection.execute(insert(refresh_tokens).values(expires_at=expires_at, **row))
    return TokenPair(user=user, refresh_token=token, refresh_expires_at=expires_at)
