"""Accounts that change: an administrator's hand on those of others, and everybody's on their own password."""

from typing import Annotated, Any

import msgspec
from anyio import to_thread
from litestar import Request, delete, get, patch, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from reconflow.errors import CredentialsError, ForbiddenError, NotFoundError
from reconflow.jobs.accounts import AccountBook
from reconflow.jobs.records import Role
from webapp.controllers.accounts import address_of
from webapp.errors import problems
from webapp.guards import administrators_only
from webapp.lanes import Lanes
from webapp.replies import KeysReply, UserReply
from webapp.tokens import Access

Accounts = NamedDependency[AccountBook]
Password = Annotated[str, Meta(min_length=8)]


class UserChanges(msgspec.Struct, frozen=True):
    """What is to be another; what is left out stays."""

    role: Role | None = None
    password: Password | None = None


class NewPassword(msgspec.Struct, frozen=True):
    """A password in place of another."""

    current: str
    new: Password


@patch("/users/{user_id:str}", guards=[administrators_only], tags=["accounts"], responses=problems(403, 404, 409))
async def change(
    user_id: FromPath[str], data: JSONBody[UserChanges], accounts: Accounts, lanes: NamedDependency[Lanes]
) -> UserReply:
    """Give an account another role or password. A new password ends its sessions; its API keys go on working."""
    user = await to_thread.run_sync(
        lambda: accounts.change_user(user_id, role=data.role, password=data.password), limiter=lanes.passwords
    )
    if user is None:
        raise NotFoundError("there is no such account")
    return UserReply(user_id=user.user_id, name=user.name, role=user.role, created_at=user.created_at)


@delete(
    "/users/{user_id:str}",
    status_code=204,
    guards=[administrators_only],
    tags=["accounts"],
    responses=problems(403, 404, 409),
    sync_to_thread=True,
)
def remove(user_id: FromPath[str], accounts: Accounts) -> None:
    """Remove an account with its sessions and API keys. Its jobs stay, for administrators to look after."""
    if not accounts.remove_user(user_id):
        raise NotFoundError("there is no such account")


@get("/admin/keys", guards=[administrators_only], tags=["accounts"], responses=problems(403), sync_to_thread=True)
def list_keys(accounts: Accounts) -> KeysReply:
    """Return everybody's API keys, without the keys themselves."""
    return KeysReply(keys=accounts.api_keys.of(None))


@delete(
    "/admin/keys/{key_id:str}",
    status_code=204,
    guards=[administrators_only],
    tags=["accounts"],
    responses=problems(403, 404),
    sync_to_thread=True,
)
def delete_key(key_id: FromPath[str], accounts: Accounts) -> None:
    """Make anybody's API key worthless."""
    if not accounts.api_keys.delete(None, key_id):
        raise NotFoundError("there is no such key")


@put("/auth/password", status_code=204, tags=["accounts"], responses=problems(403))
async def change_password(
    data: JSONBody[NewPassword],
    request: Request[Any, Access, Any],
    accounts: Accounts,
    lanes: NamedDependency[Lanes],
) -> None:
    """Change your password. All your sessions end, this one too; your API keys go on working."""
    address = address_of(request)

    def replace() -> None:
        try:
            user = accounts.check_password(request.auth.user.name, data.current, address=address)
        except CredentialsError as error:  # the token is good: 401 would have clients sign in again
            raise ForbiddenError("the current password is not right") from error
        accounts.change_user(user.user_id, password=data.new)

    await to_thread.run_sync(replace, limiter=lanes.passwords)
