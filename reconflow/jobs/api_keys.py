"""API keys: what scripts show instead of logging in. A key is told once and stored as its SHA-256."""

import secrets
import time
import uuid

import msgspec
from sqlalchemy import Engine, delete, insert, select, update

from reconflow.errors import CredentialsError, InputError
from reconflow.jobs.database import columns_of, reading, struct_of, writing
from reconflow.jobs.digests import digest_of
from reconflow.jobs.records import ApiKey, User, is_uuid
from reconflow.jobs.tables import api_keys, users

KEY_PREFIX = "rf_"
_COLUMNS = columns_of(api_keys, ApiKey)


class ApiKeyBook:
    """The API keys in a ledger's database. Every method may be called from any thread."""

    def __init__(self, engine: Engine):
        self._engine = engine

    def create(self, user_id: str, label: str) -> tuple[ApiKey, str]:
        """Return a new key's record, and the key, which nobody can be told again."""
        if not 1 <= len(label) <= 100 or not label.isprintable():
            raise InputError("the label must be 1 to 100 printable characters")
        key = KEY_PREFIX + secrets.token_urlsafe(32)
        record = ApiKey(key_id=str(uuid.uuid4()), user_id=user_id, label=label, created_at=time.time())
        with writing(self._engine) as connection:
            connection.execute(insert(api_keys).values(msgspec.to_builtins(record) | {"hash": digest_of(key)}))
        return record, key

    def user_of(self, key: str) -> User:
        """Return whose key it is, and note that it was used.

        Raises
        ------
        CredentialsError
            If it is nobody's.

        """
        query = (
            select(*columns_of(users, User), api_keys.c.key_id, api_keys.c.last_used_at)
            .join(api_keys, api_keys.c.user_id == users.c.user_id)
            .where(api_keys.c.hash == digest_of(key))
        )
        with reading(self._engine) as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            raise CredentialsError("Invalid credentials")
        now = time.time()
        if row["last_used_at"] is None or row["last_used_at"] < now - 60:
            with writing(self._engine) as connection:
                used = update(api_keys).where(api_keys.c.key_id == row["key_id"])
                connection.execute(used.values(last_used_at=now))
        return struct_of(row, User)

    def of(self, user_id: str | None) -> list[ApiKey]:
        """Return a user's keys, or everybody's where no user is named, newest first."""
        query = select(*_COLUMNS).order_by(api_keys.c.created_at.desc())
        if user_id is not None:
            query = query.where(api_keys.c.user_id == user_id)
        with reading(self._engine) as connection:
            return [struct_of(row, ApiKey) for row in connection.execute(query).mappings()]

    def delete(self, user_id: str | None, key_id: str) -> bool:
        """Remove a user's key, or anybody's where no user is named; return whether it was there."""
        if not is_uuid(key_id):
            return False
        mine = delete(api_keys).where(api_keys.c.key_id == key_id)
        if user_id is not None:
            mine = mine.where(api_keys.c.user_id == user_id)
        with writing(self._engine) as connection:
            return connection.execute(mine).rowcount > 0
