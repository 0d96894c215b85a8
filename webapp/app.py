"""The application, put together."""

from typing import Any

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.middleware import DefineMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, YamlRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ASGIApp

import reconflow
from reconflow.errors import ReconflowError
from reconflow.jobs.accounts import AccountBook
from reconflow.jobs.service import JobService
from reconflow.jobs.settings import ServiceSettings, jwt_secret
from webapp.access import logging_access
from webapp.controllers import accounts as account_routes
from webapp.controllers import admin, downloads, drift, health, jobs, page, sessions, uploads, users
from webapp.description import complete
from webapp.errors import http_error, internal_error, library_error, told_in_words, too_deep
from webapp.guards import BearerAuthentication
from webapp.headers import add_security_headers
from webapp.heads import answering_head
from webapp.lanes import Lanes
from webapp.metrics import Metrics
from webapp.tus import honouring_method_override

_LONGEST_BODY = 1 << 20
"""Of JSON bodies; uploads are streamed and have a limit of their own."""

_ROUTES: list[Any] = [
    page.document, page.asset,
    health.health, health.ready, health.metrics,
    account_routes.log_in, account_routes.refresh, account_routes.log_out,
    account_routes.list_keys, account_routes.create_key, account_routes.delete_key,
    account_routes.list_users, account_routes.create_user, users.change, users.remove, users.change_password,
    users.list_keys, users.delete_key,
    sessions.begin, sessions.renew, sessions.end, admin.status,
    jobs.upload, jobs.job, jobs.status, jobs.jobs, jobs.cancel, jobs.retry, jobs.remove, jobs.events, jobs.clusters,
    jobs.insights, jobs.images, jobs.thumbnail, jobs.cameras, jobs.live_cloud, jobs.cloud, jobs.view_graph,
    jobs.options,
    uploads.capabilities, uploads.create, uploads.status, uploads.append, uploads.terminate, uploads.make_job,
    downloads.links, downloads.plys, downloads.csv, downloads.models, downloads.report, downloads.transforms,
    downloads.ply,
    drift.check, drift.trigger_retrain,
]  # fmt: skip


def create_app(settings: ServiceSettings, *, service: JobService, accounts: AccountBook) -> ASGIApp:
    """Return the application; the caller opens and closes what it is given."""
    metrics = Metrics(service)
    given = {"service": service, "accounts": accounts, "settings": settings, "metrics": metrics, "lanes": Lanes()}
    app = Litestar(
        route_handlers=_ROUTES,
        dependencies={name: Provide(_giver(value), sync_to_thread=False) for name, value in given.items()},
        middleware=[DefineMiddleware(BearerAuthentication, exclude=["^/schema"])],
        exception_handlers={
            ReconflowError: library_error,
            HTTPException: http_error,
            RecursionError: too_deep,
            Exception: internal_error,
        },
        before_send=[add_security_headers],
        state=State({"accounts": accounts, "jwt_secret": jwt_secret(settings)}),
        request_max_body_size=_LONGEST_BODY,
        openapi_config=_openapi(),
        logging_config=None,  # whoever starts the service configures logging
        debug=False,
    )
    complete(app)
    counted = metrics.counting(answering_head(app), routes=app)
    return logging_access(honouring_method_override(counted))


def _giver(value: Any) -> Any:
    return lambda: value


def _openapi() -> OpenAPIConfig:
    bearer = SecurityScheme(type="http", scheme="bearer", description="An access token, or an API key (rf_…).")
    return OpenAPIConfig(
        title="reconflow",
        version=reconflow.__version__,
        description="Photos in, posed cameras and point clouds out.",
        components=Components(security_schemes={"bearer": bearer}),
        security=[{"bearer": []}],
        openapi_router=Router("/schema", route_handlers=[], include_in_schema=False, after_request=told_in_words),
        render_plugins=[JsonRenderPlugin(path="/openapi.json"), YamlRenderPlugin(path="/openapi.yaml")],
    )
