"""A signed message to whoever asked to hear when a job ends."""

import hashlib
import hmac
import logging
import time

import msgspec

from reconflow.jobs.records import Job

logger = logging.getLogger(__name__)

_TIMEOUT_S = 10
_PAUSES_S = (1, 5)
"""Before the second and the third try."""


def sign(body: bytes, *, secret: str, timestamp: int) -> str:
    """Return the value of ``X-Reconflow-Signature``: HMAC-SHA-256 over ``timestamp.body``, in hex.

    >>> sign(b"{}", secret="s", timestamp=1)[:16]
    't=1,v1=b253639bc'
    """
    signature = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={signature}"


def send_webhook(job: Job, *, secret: str) -> bool:
    """Send the job's end to its webhook address, three times at most; return whether it was taken."""
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
    for pause in (*_PAUSES_S, 0):
        headers = {
            "Content-Type": "application/json",
            "X-Reconflow-Signature": sign(body, secret=secret, timestamp=int(time.time())),
        }
        try:
            answer = httpx.post(str(job.webhook_url), content=body, headers=headers, timeout=_TIMEOUT_S)
            if answer.is_success:
                return True
            logger.warning("job %s: the webhook answered %d", job.job_id, answer.status_code)
        except httpx.HTTPError as error:
            logger.warning("job %s: the webhook cannot be reached: %s", job.job_id, error)
        time.sleep(pause)
    return False
