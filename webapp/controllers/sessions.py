"""Sessions of the web page: the access token goes to the page's memory, the refresh token into an HttpOnly cookie.

The cookie is sent to these addresses only, never along with a request that another site caused (SameSite=Strict).
"""

import contextlib
from typing import Any

from anyio import to_thread
from litestar import Request, Response, delete, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody

from reconflow.errors import CredentialsError, ForbiddenError
from reconflow.jobs.accounts import AccountBook
from reconflow.jobs.records import TokenPair
from reconflow.jobs.settings import ServiceSettings
from webapp.controllers.accounts import Credentials, logged_in
from webapp.errors import Problem, problems
from webapp.guards import PUBLIC
from webapp.lanes import Lanes
from webapp.replies import SessionReply
from webapp.tokens import decode_token, encode_token

_PATH = "/auth/session"
_COOKIE = "reconflow_session"
_LEEWAY_S = 15.0
"""A page that is reloaded while it renews its session sends the same cookie again."""

Asked = Request[Any, Any, Any]
Accounts = NamedDependency[AccountBook]
Settings = NamedDependency[ServiceSettings]


@post(_PATH, opt=PUBLIC, status_code=200, tags=["accounts"], responses=problems(403))
async def begin(
    data: JSONBody[Credentials],
    request: Asked,
    accounts: Accounts,
    settings: Settings,
    lanes: NamedDependency[Lanes],
) -> Response[SessionReply]:
    """Trade name and password for an access token, and a refresh token in a cookie."""
    _require_own_page(request)
    pair = await logged_in(data, request, accounts, settings, lanes)
    return _session(request, pair, settings)


@post(
    f"{_PATH}/refresh",
    opt=PUBLIC,
    status_code=200,
    tags=["accounts"],
    responses=problems(403) | {204: ResponseSpec(None, description="There is no cookie")},
)
async def renew(request: Asked, accounts: Accounts, settings: Settings) -> Response[Any]:
    """Trade the cookie for a new access token and the next cookie; 204 where there is no cookie."""
    _require_own_page(request)
    token = request.cookies.get(_COOKIE)
    if not token:
        return Response(None, status_code=204)
    try:
        pair = await to_thread.run_sync(
            lambda: accounts.sessions.rotate(token, lifetime_s=settings.refresh_expiry_seconds, leeway_s=_LEEWAY_S)
        )
    except CredentialsError as error:
        headers = {"WWW-Authenticate": "Bearer"}
        return Response(Problem(error.message), status_code=401, headers=headers, cookies=[_cookie(request, "", 0)])
    return _session(request, pair, settings)


@delete(_PATH, opt=PUBLIC, status_code=204, tags=["accounts"], responses=problems(403))
async def end(request: Asked, accounts: Accounts) -> Response[None]:
    """End the session, and make the access token worthless where it is sent along."""
    _require_own_page(request)
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    with contextlib.suppress(CredentialsError):  # one that is missing or has run out is worthless already
        access = decode_token(bearer, secret=request.app.state.jwt_secret)
        await to_thread.run_sync(accounts.sessions.revoke_access, access.jti, access.expires_at)
    await to_thread.run_sync(accounts.sessions.end, request.cookies.get(_COOKIE, ""))
    return Response(None, status_code=204, cookies=[_cookie(request, "", 0)])


def _require_own_page(request: Asked) -> None:
    """Refuse what a page of another origin sends; old browsers and programs do not say where they come from."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise ForbiddenError("sessions are for the page of this service: use POST /auth/token")


def _session(request: Asked, pair: TokenPair, settings: ServiceSettings) -> Response[SessionReply]:
    lifetime = settings.jwt_expiry_seconds
    token = encode_token(pair.user, secret=request.app.state.jwt_secret, lifetime_s=lifetime)
    reply = SessionReply(access_token=token, expires_in=lifetime, name=pair.user.name, role=pair.user.role)
    return Response(reply, cookies=[_cookie(request, pair.refresh_token, settings.refresh_expiry_seconds)])


def _cookie(request: Asked, value: str, max_age_s: int) -> Cookie:
    secure = request.url.scheme == "https"
    return Cookie(_COOKIE, value=value, max_age=max_age_s, path=_PATH, httponly=True, samesite="strict", secure=secure)
