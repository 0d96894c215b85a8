"""Who may use the service: accounts, login with throttling, refresh tokens that work once, and API keys.

Passwords are stored as argon2id hashes; refresh tokens and API keys, which are long and random, as SHA-256.
"""

import hashlib
import secrets
import time
import uuid
from collections.abc import Collection
from typing import Any

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from reconflow.errors import CredentialsError, InputError, JobStateError, ThrottledError
from reconflow.jobs.database import reading, struct_of, take_lock, writing
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.records import ApiKey, Role, TokenPair, User, is_uuid
from reconflow.jobs.settings import SHORTEST_PASSWORD
from reconflow.jobs.tables import api_keys, login_failures, refresh_tokens, revoked_tokens, users

_WINDOW_S = 300.0
_MOST_FAILURES = {"name": 10, "address": 30}
"""Failed logins within the window before further ones are refused unseen."""
_LONGEST_NAME = 100
_KEY_PREFIX = "rf_"
_USER_COLUMNS = [users.c[field.name] for field in msgspec.structs.fields(User)]
_KEY_COLUMNS = [api_keys.c[field.name] for field in msgspec.structs.fields(ApiKey)]
_INVALID = "Invalid credentials"


class AccountBook:
    """The accounts in a ledger's database. Every method may be called from any thread."""

    def __init__(self, ledger: Ledger, *, hasher: PasswordHasher | None = None):
        self._engine = ledger.engine
        self._hasher = hasher or PasswordHasher()
        self._nobody = self._hasher.hash(secrets.token_urlsafe(16))

    def ensure_admin(self, name: str, password: str) -> str | None:
        """Make the first administrator unless there is one; return the password where one was generated."""
        chosen = password or secrets.token_urlsafe(15)
        row = self._account(name, chosen, "admin")
        try:
            with writing(self._engine) as connection:
                if connection.execute(select(func.count()).where(users.c.role == "admin")).scalar():
                    return None
                connection.execute(insert(users).values(row))
        except IntegrityError:  # another web process that starts at the same moment was first
            return None
        return None if password else chosen

    def add_user(self, name: str, password: str, role: Role = "user") -> User:
        """Make an account.

        Raises
        ------
        InputError
            If the name is taken or empty, or the password too short.

        """
        row = self._account(name, password, role)
        try:
            with writing(self._engine) as connection:
                connection.execute(insert(users).values(row))
        except IntegrityError as error:
            raise InputError(f"there is an account named {name} already") from error
        return msgspec.convert(row, User)

    def user(self, user_id: str) -> User | None:
        """Return an account."""
        with reading(self._engine) as connection:
            row = connection.execute(select(*_USER_COLUMNS).where(users.c.user_id == user_id)).mappings().one_or_none()
        return None if row is None else struct_of(row, User)

    def users(self) -> list[User]:
        """Return all accounts, by name."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(*_USER_COLUMNS).order_by(users.c.name)).mappings().all()
        return [struct_of(row, User) for row in rows]

    def names(self, user_ids: Collection[str]) -> dict[str, str]:
        """Return the names of accounts by id; those that are gone are left out."""
        query = select(users.c.user_id, users.c.name).where(users.c.user_id.in_(set(user_ids)))
        with reading(self._engine) as connection:
            return {row.user_id: row.name for row in connection.execute(query)}

    def check_password(self, name: str, password: str, *, address: str) -> User:
        """Return the account of a name and password; an unknown name costs the same time as a wrong password.

        Raises
        ------
        CredentialsError
            If they do not belong together.
        ThrottledError
            If there were too many failures with this name, or from this address, within five minutes.

        """
        if len(name) > _LONGEST_NAME or not name.isprintable():
            raise CredentialsError(_INVALID)
        attempts = self._count_attempt(name, address)
        with reading(self._engine) as connection:
            row = connection.execute(select(users).where(users.c.name == name)).mappings().one_or_none()
        if not self._fits(self._nobody if row is None else row["password_hash"], password) or row is None:
            raise CredentialsError(_INVALID)
        with writing(self._engine) as connection:
            forgiven = or_(login_failures.c.subject == f"name:{name}", login_failures.c.id.in_(attempts))
            connection.execute(delete(login_failures).where(forgiven))
            if self._hasher.check_needs_rehash(row["password_hash"]):
                stronger = update(users).where(users.c.user_id == row["user_id"])
                connection.execute(stronger.values(password_hash=self._hasher.hash(password)))
        return struct_of(row, User)

    def log_in(self, name: str, password: str, *, address: str, lifetime_s: float) -> TokenPair:
        """Return a first refresh token for who knows name and password; raises as :meth:`check_password`."""
        return self.start_session(self.check_password(name, password, address=address), lifetime_s=lifetime_s)

    def _count_attempt(self, name: str, address: str) -> list[int]:
        """Count a login as failed before its password is looked at, so that guesses made at once count too."""
        subjects = {f"name:{name}": _MOST_FAILURES["name"], f"address:{address}": _MOST_FAILURES["address"]}
        now = time.time()
        with writing(self._engine) as connection:
            take_lock(connection, "logins")
            connection.execute(delete(login_failures).where(login_failures.c.at < now - _WINDOW_S))
            if any(_failures(connection, subject) >= most for subject, most in subjects.items()):
                raise ThrottledError("Too many failed logins; try again in five minutes")
            added = insert(login_failures).returning(login_failures.c.id)
            return [connection.execute(added.values(subject=subject, at=now)).scalar_one() for subject in subjects]

    def start_session(self, user: User, *, lifetime_s: float) -> TokenPair:
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
        mine = refresh_tokens.c.hash == _hash(refresh_token)
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

    def end_session(self, refresh_token: str) -> None:
        """End the session a refresh token belongs to."""
        family = select(refresh_tokens.c.family).where(refresh_tokens.c.hash == _hash(refresh_token)).scalar_subquery()
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

    def create_api_key(self, user_id: str, label: str) -> tuple[ApiKey, str]:
        """Return a new key's record, and the key, which nobody can be told again."""
        if not 1 <= len(label) <= 100 or not label.isprintable():
            raise InputError("the label must be 1 to 100 printable characters")
        key = _KEY_PREFIX + secrets.token_urlsafe(32)
        record = ApiKey(key_id=str(uuid.uuid4()), user_id=user_id, label=label, created_at=time.time())
        with writing(self._engine) as connection:
            connection.execute(insert(api_keys).values(msgspec.to_builtins(record) | {"hash": _hash(key)}))
        return record, key

    def user_of_api_key(self, key: str) -> User:
        """Return whose key it is, and note that it was used.

        Raises
        ------
        CredentialsError
            If it is nobody's.

        """
        query = (
            select(*_USER_COLUMNS, api_keys.c.key_id, api_keys.c.last_used_at)
            .join(api_keys, api_keys.c.user_id == users.c.user_id)
            .where(api_keys.c.hash == _hash(key))
        )
        with reading(self._engine) as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            raise CredentialsError(_INVALID)
        now = time.time()
        if row["last_used_at"] is None or row["last_used_at"] < now - 60:
            with writing(self._engine) as connection:
                used = update(api_keys).where(api_keys.c.key_id == row["key_id"])
                connection.execute(used.values(last_used_at=now))
        return struct_of(row, User)

    def api_keys(self, user_id: str) -> list[ApiKey]:
        """Return a user's keys, newest first."""
        query = select(*_KEY_COLUMNS).where(api_keys.c.user_id == user_id).order_by(api_keys.c.created_at.desc())
        with reading(self._engine) as connection:
            return [struct_of(row, ApiKey) for row in connection.execute(query).mappings()]

    def all_api_keys(self) -> list[ApiKey]:
        """Return everybody's keys, newest first."""
        query = select(*_KEY_COLUMNS).order_by(api_keys.c.created_at.desc())
        with reading(self._engine) as connection:
            return [struct_of(row, ApiKey) for row in connection.execute(query).mappings()]

    def delete_api_key(self, user_id: str | None, key_id: str) -> bool:
        """Remove a user's key, or anybody's where no user is named; return whether it was there."""
        if not is_uuid(key_id):
            return False
        mine = delete(api_keys).where(api_keys.c.key_id == key_id)
        if user_id is not None:
            mine = mine.where(api_keys.c.user_id == user_id)
        with writing(self._engine) as connection:
            return connection.execute(mine).rowcount > 0

    def change_user(self, user_id: str, *, role: Role | None = None, password: str | None = None) -> User | None:
        """Give an account another role or password, and return it; ``None`` where there is none.

        A new password ends all sessions of the account; its API keys go on working.

        Raises
        ------
        InputError
            If the password is too short.
        JobStateError
            If nobody would be left to administer the service.

        """
        fresh = None if password is None else self._password_hash(password)
        mine = update(users).where(users.c.user_id == user_id)
        with writing(self._engine) as connection:
            take_lock(connection, "users")
            if role == "user":
                _require_another_admin(connection, user_id)
            if role is not None:
                connection.execute(mine.values(role=role))
            if fresh is not None:
                connection.execute(mine.values(password_hash=fresh, tokens_from=time.time()))
                connection.execute(delete(refresh_tokens).where(refresh_tokens.c.user_id == user_id))
        return self.user(user_id)

    def remove_user(self, user_id: str) -> bool:
        """Remove an account with its sessions and keys; return whether it was there. Its jobs stay.

        Raises
        ------
        JobStateError
            If nobody would be left to administer the service.

        """
        with writing(self._engine) as connection:
            take_lock(connection, "users")
            _require_another_admin(connection, user_id)
            return connection.execute(delete(users).where(users.c.user_id == user_id)).rowcount > 0

    def _account(self, name: str, password: str, role: Role) -> dict[str, Any]:
        if not 1 <= len(name) <= _LONGEST_NAME or not name.isprintable():
            raise InputError("the name must be 1 to 100 printable characters")
        secret = self._password_hash(password)
        user = User(user_id=str(uuid.uuid4()), name=name, role=role, created_at=time.time())
        return msgspec.to_builtins(user) | {"password_hash": secret}

    def _password_hash(self, password: str) -> str:
        if len(password) < SHORTEST_PASSWORD:
            raise InputError(f"the password must be at least {SHORTEST_PASSWORD} characters long")
        return self._hasher.hash(password)

    def _fits(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False


def _require_another_admin(connection: Connection, user_id: str) -> None:
    """Raise :class:`JobStateError` where an account is the only administrator."""
    admins = connection.execute(select(users.c.user_id).where(users.c.role == "admin")).scalars().all()
    if list(admins) == [user_id]:
        raise JobStateError("this is the only administrator: make another one first")


def _failures(connection: Connection, subject: str) -> int:
    return int(connection.execute(select(func.count()).where(login_failures.c.subject == subject)).scalar() or 0)


def _issue(connection: Connection, user: User, *, family: str, lifetime_s: float) -> TokenPair:
    token = secrets.token_urlsafe(32)
    row: dict[str, Any] = {"hash": _hash(token), "family": family, "user_id": user.user_id, "used": False}
    expires_at = time.time() + lifetime_s
    connection.execute(insert(refresh_tokens).values(expires_at=expires_at, **row))
    return TokenPair(user=user, refresh_token=token, refresh_expires_at=expires_at)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
