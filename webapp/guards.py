"""Who asks? Every route needs a Bearer token or an API key, but for those that say ``exclude_from_auth``."""

from typing import Any

import msgspec
from anyio import to_thread
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult

from reconflow.errors import CredentialsError, ForbiddenError
from reconflow.jobs.api_keys import KEY_PREFIX
from webapp.tokens import Access, decode_link, decode_token

PUBLIC: dict[str, Any] = {"exclude_from_auth": True}
"""``opt`` of a route that anybody may ask."""
LINKABLE: dict[str, Any] = {"linkable": True}
"""``opt`` of a route below one job that also takes ``?link=``, a token of ``POST /jobs/{job_id}/links``."""


class BearerAuthentication(AbstractAuthenticationMiddleware):
    """Finds the account of a request. HEAD is authenticated too, and other schemes than Bearer are refused."""

    async def authenticate_request(self, connection: "ASGIConnection[Any, Any, Any, Any]") -> AuthenticationResult:
        """Return the user and the access of a request."""
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        link = connection.query_params.get("link")
        if not token and link and connection.scope["route_handler"].opt.get("linkable"):
            access = decode_link(link, connection.path_params["job_id"], secret=connection.app.state.jwt_secret)
            access = await to_thread.run_sync(_as_it_is_now, connection, access)
            return AuthenticationResult(user=access.user, auth=access)
        if not token:
            raise CredentialsError("An access token is missing: send `Authorization: Bearer …`")
        if scheme.lower() != "bearer":
            raise CredentialsError("Only the Bearer scheme is accepted")
        access = await to_thread.run_sync(_access, connection, token.strip())
        return AuthenticationResult(user=access.user, auth=access)


def _access(connection: "ASGIConnection[Any, Any, Any, Any]", token: str) -> Access:
    state = connection.app.state
    if token.startswith(KEY_PREFIX):
        return Access(state.accounts.api_keys.user_of(token), jti="", expires_at=0.0, issued_at=0.0)
    return _as_it_is_now(connection, decode_token(token, secret=state.jwt_secret))


def _as_it_is_now(connection: "ASGIConnection[Any, Any, Any, Any]", access: Access) -> Access:
    """Return an access with the account as it is now; its tokens and links end with it."""
    user = connection.app.state.accounts.sessions.user_of_access(
        access.user.user_id, access.jti, issued_at=access.issued_at
    )
    return msgspec.structs.replace(access, user=user)


def administrators_only(connection: "ASGIConnection[Any, Any, Any, Any]", _: BaseRouteHandler) -> None:
    """Refuse everybody but administrators."""
    if connection.user.role != "admin":
        raise ForbiddenError("only administrators may do this")
