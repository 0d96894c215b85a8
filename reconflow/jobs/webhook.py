"""A signed message to whoever asked to hear when a job ends."""

import hashlib
import hmac
import logging
import time

import msgspec

from reconflow.jobs.outbox import Outbox
from reconflow.jobs.records import Job

logger = logging.getLogger(__name__)

_TIMEOUT_S = 10.0
_HOLD_S = 60.0
_PAUSES_S = (1.0, 5.0, 60.0, 600.0, 3600.0)
"""Before the second try, the third, and so on."""


def sign(body: bytes, *, secret: str, timestamp: int) -> str:
    """Return the value of ``X-Reconflow-Signature``: HMAC-SHA-256 over ``timestamp.body``, in hex.

    >>> sign(b"{}", secret="s", timestamp=1)[:16]
    't=1,v1=b253639bc'
    """
    signature = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={signature}"


def send_due_webhooks(outbox: Outbox, *, secret: str) -> None:
    """Send every webhook that is due, each once; one that is not taken is due again later, five times at most.

    Without a secret none is sent.
    """
    while (letter := outbox.take(hold_s=_HOLD_S)) is not None:
        if not secret or _send(letter.job, secret=secret):
            outbox.done(letter)
        elif letter.tries < len(_PAUSES_S):
            outbox.done(letter, again_in_s=_PAUSES_S[letter.tries])
        else:
            logger.warning("job %s: the webhook is given up", letter.job.job_id)
            outbox.done(letter)


def _send(job: Job, *, secret: str) -> bool:
    import httpx

    body = msgspec.json.encode(
        {
            "event": "job.ended",
            "job_id": job.job_id,
            "stage": job.stage,
            "dataset_name": job.dataset_name,
            "error_code": job.error_code,
            "registration_rate": job.registration_rate,
            "finished_at": job.finished_at,
        }
    )
    headers = {
        "Content-Type": "application/json",
        "X-Reconflow-Signature": sign(body, secret=secret, timestamp=int(time.time())),
    }
    try:
        answer = httpx.post(str(job.webhook_url), content=body, headers=headers, timeout=_TIMEOUT_S)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OverflowError) as error:  # the last two: no host, no port
        logger.warning("job %s: the webhook cannot be reached: %s", job.job_id, error)
        return False
    if not answer.is_success:
        logger.warning("job %s: the webhook answered %d", job.job_id, answer.status_code)
    return answer.is_success
