"""Logging in and out, API keys, accounts."""

from typing import Annotated, Any

import msgspec
from anyio import to_thread
from litestar import Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from reconflow.errors import NotFoundError
from reconflow.jobs.accounts import AccountBook
from reconflow.jobs.records import Role, TokenPair
from reconflow.jobs.settings import ServiceSettings
from webapp.errors import problems
from webapp.guards import PUBLIC, administrators_only
from webapp.lanes import Lanes
from webapp.replies import KeysReply, NewKeyReply, TokenReply, UserReply, UsersReply
from webapp.tokens import Access, encode_token


class Credentials(msgspec.Struct, frozen=True):
    """A login."""

    username: str
    password: str


class RefreshToken(msgspec.Struct, frozen=True):
    """A refresh token."""

    refresh_token: str


class Label(msgspec.Struct, frozen=True):
    """What a new key is for."""

    label: Annotated[str, Meta(min_length=1, max_length=100)]


class NewUser(msgspec.Struct, frozen=True):
    """An account to make."""

    username: Annotated[str, Meta(min_length=1, max_length=100)]
    password: Annotated[str, Meta(min_length=8)]
    role: Role = "user"


@post("/auth/token", opt=PUBLIC, status_code=200, tags=["accounts"], responses=problems())
async def log_in(
    data: JSONBody[Credentials],
    request: Request[Any, Any, Any],
    accounts: NamedDependency[AccountBook],
    settings: NamedDependency[ServiceSettings],
    lanes: NamedDependency[Lanes],
) -> TokenReply:
    """Trade name and password for an access token and a refresh token."""
    pair = await logged_in(data, request, accounts, settings, lanes)
    return _tokens(request, pair, settings)


@post("/auth/refresh", opt=PUBLIC, status_code=200, tags=["accounts"], responses=problems(), sync_to_thread=True)
def refresh(
    data: JSONBody[RefreshToken],
    request: Request[Any, Any, Any],
    accounts: NamedDependency[AccountBook],
    settings: NamedDependency[ServiceSettings],
) -> TokenReply:
    """Trade a refresh token for the next pair. One that was traded before ends its session."""
    return _tokens(
        request, accounts.sessions.rotate(data.refresh_token, lifetime_s=settings.refresh_expiry_seconds), settings
    )


@post("/auth/logout", status_code=204, tags=["accounts"], responses=problems(), sync_to_thread=True)
def log_out(
    request: Request[Any, Access, Any],
    accounts: NamedDependency[AccountBook],
    data: JSONBody[RefreshToken | None] = None,
) -> None:
    """Make the access token worthless, and the refresh token too where it is sent along."""
    if request.auth.jti:
        accounts.sessions.revoke_access(request.auth.jti, request.auth.expires_at)
    if data is not None:
        accounts.sessions.end(data.refresh_token)


@get("/auth/keys", tags=["accounts"], responses=problems(), sync_to_thread=True)
def list_keys(request: Request[Any, Access, Any], accounts: NamedDependency[AccountBook]) -> KeysReply:
    """Return your API keys, without the keys themselves."""
    return KeysReply(keys=accounts.api_keys.of(request.auth.user.user_id))


@post("/auth/keys", status_code=201, tags=["accounts"], responses=problems(), sync_to_thread=True)
def create_key(
    data: JSONBody[Label], request: Request[Any, Access, Any], accounts: NamedDependency[AccountBook]
) -> NewKeyReply:
    """Make an API key. It is told once."""
    record, key = accounts.api_keys.create(request.auth.user.user_id, data.label)
    return NewKeyReply(key_id=record.key_id, label=record.label, key=key)


@delete("/auth/keys/{key_id:str}", status_code=204, tags=["accounts"], responses=problems(404), sync_to_thread=True)
def delete_key(
    key_id: FromPath[str], request: Request[Any, Access, Any], accounts: NamedDependency[AccountBook]
) -> None:
    """Make an API key worthless."""
    if not accounts.api_keys.delete(request.auth.user.user_id, key_id):
        raise NotFoundError("there is no such key")


@get("/users", guards=[administrators_only], tags=["accounts"], responses=problems(403), sync_to_thread=True)
def list_users(accounts: NamedDependency[AccountBook]) -> UsersReply:
    """Return all accounts."""
    return UsersReply(users=accounts.users())


@post(
    "/users",
    status_code=201,
    guards=[administrators_only],
    tags=["accounts"],
    responses=problems(403),
)
async def create_user(
    data: JSONBody[NewUser], accounts: NamedDependency[AccountBook], lanes: NamedDependency[Lanes]
) -> UserReply:
    """Make an account."""
    user = await to_thread.run_sync(
        lambda: accounts.add_user(data.username, data.password, data.role), limiter=lanes.passwords
    )
    return UserReply(user_id=user.user_id, name=user.name, role=user.role, created_at=user.created_at)


async def logged_in(
    data: Credentials,
    request: Request[Any, Any, Any],
    accounts: AccountBook,
    settings: ServiceSettings,
    lanes: Lanes,
) -> TokenPair:
    """Return the first refresh token of a session, for who knows a name and its password."""
    address = address_of(request)
    lifetime_s = settings.refresh_expiry_seconds
    return await to_thread.run_sync(
        lambda: accounts.log_in(data.username, data.password, address=address, lifetime_s=lifetime_s),
        limiter=lanes.passwords,
    )


def address_of(request: Request[Any, Any, Any]) -> str:
    """Return where a request comes from, for counting failed logins."""
    return request.client.host if request.client else ""


def _tokens(request: Request[Any, Any, Any], pair: TokenPair, settings: ServiceSettings) -> TokenReply:
    lifetime = settings.jwt_expiry_seconds
    token = encode_token(pair.user, secret=request.app.state.jwt_secret, lifetime_s=lifetime)
    return TokenReply(access_token=token, expires_in=lifetime, refresh_token=pair.refresh_token)
