"""Opening the ledger's database: connection settings, and its schema brought up to date."""

from collections.abc import Generator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, Engine, RowMapping, Table, create_engine, event, text
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)

from reconflow.errors import ConfigError, DiskFullError, StoreError

_T = TypeVar("_T")
_NO_ROOM = ("database or disk is full", "No space left on device")
"""What SQLite and PostgreSQL say."""
_BUSY_TIMEOUT_MS = 15_000


def open_database(url: str) -> Engine:
    """Return an engine for a database of the newest schema.

    Raises
    ------
    ConfigError
        If the URL is wrong, or the database does not answer.
    StoreError
        If a newer version of reconflow wrote it.

    """
    try:
        engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise ConfigError(f"RECONFLOW_DATABASE_URL: {error}") from error
    if engine.dialect.name == "sqlite":
        Path(engine.url.database or ".").absolute().parent.mkdir(parents=True, exist_ok=True)
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_immediate)
    try:
        _upgrade(engine)
    except OperationalError as error:
        engine.dispose()
        raise ConfigError(f"the database cannot be opened: {str(error.orig).strip()}") from error
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextmanager
def writing(engine: Engine) -> Generator[Connection]:
    """Give a transaction that may write.

    Raises
    ------
    DiskFullError
        If there is no room to write.
    StoreError
        If the database does not answer, or refuses. A row that is there already stays an ``IntegrityError``.

    """
    with _translated(), engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Generator[Connection]:
    """Give a connection that only reads: in SQLite it waits for no writer, and no writer for it.

    Raises the errors of :func:`writing`.
    """
    with _translated(), engine.connect() as connection:
        yield connection.execution_options(isolation_level="AUTOCOMMIT")


def take_lock(connection: Connection, name: str) -> None:
    """Let one transaction at a time go on from here, until it ends; in SQLite only one ever writes."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"reconflow.{name}"})


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except SQLAlchemyError as error:
        if isinstance(error, DBAPIError) and any(words in str(error.orig) for words in _NO_ROOM):
            raise DiskFullError("the ledger's disk is full: delete old jobs, or try later") from error
        raise StoreError(f"the ledger does not answer: {type(error).__name__}") from error


def columns_of(table: Table, kind: type[msgspec.Struct]) -> list[Column[Any]]:
    """Return the columns of a table that a struct has fields for, in the order of its fields."""
    return [table.c[field.name] for field in msgspec.structs.fields(kind)]


def struct_of(row: RowMapping, kind: type[_T]) -> _T:
    """Return a row as a value; columns that the struct does not have are passed over."""
    return msgspec.convert({str(name): value for name, value in row.items()}, kind)


def _configure_sqlite(connection: Any, _: object) -> None:
    # SQLite's own lower() knows ASCII only.
    connection.create_function("lower", 1, _lower, deterministic=True)
    connection.isolation_level = None  # SQLAlchemy's begin event below starts transactions, not the driver
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    # FULL: an accepted upload must survive a power cut, and there are few transactions a second.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _begin_immediate(connection: Connection) -> None:
    """Take the write lock first: a transaction that reads, then writes, would fail instead of waiting its turn."""
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _upgrade(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(resources.files("reconflow.jobs") / "migrations").replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    with engine.connect() as connection, _without_cascades(connection), connection.begin():
        take_lock(connection, "migrations")
        current = MigrationContext.configure(connection).get_current_revision()
        if current == scripts.get_current_head():
            return
        if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
            raise StoreError(f"the ledger was written by a newer reconflow (schema {current}): install that version")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _without_cascades(connection: Connection) -> Generator[None]:
    """Let SQLite replace a table by an altered copy, as migrations do, without deleting what refers to its rows."""
    if connection.dialect.name != "sqlite":
        yield
        return
    driver = connection.connection.cursor()  # not through SQLAlchemy: in a transaction the setting is passed over
    driver.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys=ON")
