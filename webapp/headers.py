"""Headers that tell browsers what this service never does."""

from litestar.types import Message, Scope

from webapp.tus import PREFIX, VERSION

_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), microphone=(), geolocation=()",
}
_POLICY = (
    b"default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self';"
    b" object-src 'none'"
)
"""The page makes pictures of bytes (blob:, data:); everything else comes from this service."""
_REPORT_POLICY = (
    b"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; sandbox allow-scripts;"
    b" frame-ancestors 'none'"
)
"""For a job's report: its script is inline, so it is shut off from everything else."""


async def add_security_headers(message: Message, scope: Scope) -> None:
    """Add them to every response."""
    if message["type"] != "http.response.start":
        return
    headers = list(message["headers"])
    present = {name.lower() for name, _ in headers}
    policy = _REPORT_POLICY if scope["path"].endswith("/report") else _POLICY
    extra = _HEADERS | {b"content-security-policy": policy}
    if scope["path"].startswith(PREFIX):
        extra |= {b"tus-resumable": VERSION.encode()}
    if not scope["path"].startswith("/static"):
        extra |= {b"cache-control": b"no-store"}
    message["headers"] = headers + [(name, value) for name, value in extra.items() if name not in present]
