"""Who may use the service: accounts, their passwords, stored as argon2id hashes, and login with throttling."""

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
from reconflow.jobs.api_keys import ApiKeyBook
from reconflow.jobs.database import columns_of, reading, struct_of, take_lock, writing
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.records import Role, TokenPair, User
from reconflow.jobs.sessions import SessionBook
from reconflow.jobs.settings import SHORTEST_PASSWORD
from reconflow.jobs.tables import login_failures, refresh_tokens, users

_WINDOW_S = 300.0
_MOST_FAILURES = {"name": 10, "address": 30}
"""Failed logins within the window before further ones are refused unseen."""
_LONGEST_NAME = 100
_USER_COLUMNS = columns_of(users, User)
_INVALID = "Invalid credentials"


class AccountBook:
    """The accounts in a ledger's database, their sessions and their API keys.

    Every method may be called from any thread.
    """

    def __init__(self, ledger: Ledger, *, hasher: PasswordHasher | None = None):
        self.sessions = SessionBook(ledger.engine)
        self.api_keys = ApiKeyBook(ledger.engine)
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
        return self.sessions.start(self.check_password(name, password, address=address), lifetime_s=lifetime_s)

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
