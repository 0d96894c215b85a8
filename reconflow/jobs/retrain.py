"""Starting the retraining pipeline in Airflow 3 (REST API v2, Bearer) or Airflow 2 (v1, Basic)."""

import time
import uuid
from collections.abc import Mapping
from typing import Any, Literal

import httpx

from reconflow.errors import RetrainError
from reconflow.jobs.settings import ServiceSettings

DAG = "experiment_pipeline_dag"


def retrain(settings: ServiceSettings, *, conf: Mapping[str, Any], run_id: str | None = None) -> str:
    """Trigger retraining with the service's settings; see :func:`trigger_retraining`."""
    return trigger_retraining(
        url=settings.airflow_url,
        username=settings.airflow_username,
        password=settings.airflow_password,
        api_version=settings.airflow_api_version,
        conf=conf,
        run_id=run_id,
    )


def trigger_retraining(
    *,
    url: str,
    username: str,
    password: str,
    api_version: Literal["auto", "2", "1"] = "auto",
    conf: Mapping[str, Any],
    run_id: str | None = None,
    timeout_s: float = 10.0,
) -> str:
    """Start a run of the DAG and return its id, a fresh one unless it is given; one that exists counts as started.

    ``auto`` asks for a token as Airflow 3 gives it, and takes the old API where there is no such place.

    Raises
    ------
    RetrainError
        If Airflow is not configured, cannot be reached, or refuses; the message says which.

    """
    if not url:
        raise RetrainError("Airflow is not configured: set AIRFLOW_URL")
    run_id = run_id or f"reconflow-{int(time.time())}-{uuid.uuid4().hex[:8]}"
    body = {"dag_run_id": run_id, "conf": dict(conf)}
    try:
        with httpx.Client(base_url=url, timeout=timeout_s) as airflow:
            if api_version != "1":
                token = _token(airflow, username, password, may_lack=api_version == "auto")
                if token is not None:
                    answer = _run_with_token(airflow, token, body, username, password)
                    return _checked(answer, run_id)
            answer = airflow.post(f"/api/v1/dags/{DAG}/dagRuns", json=body, auth=(username, password))
            return _checked(answer, run_id)
    except httpx.TimeoutException as error:
        raise RetrainError(f"Airflow does not answer within {timeout_s:g} seconds") from error
    except httpx.HTTPError as error:
        raise RetrainError(f"Airflow cannot be reached: {error}") from error
    except (httpx.InvalidURL, ValueError, OverflowError) as error:
        raise RetrainError(f"AIRFLOW_URL is no address: {error}") from error


def _token(airflow: httpx.Client, username: str, password: str, *, may_lack: bool) -> str | None:
    answer = airflow.post("/auth/token", json={"username": username, "password": password})
    if may_lack and answer.status_code in (404, 405):
        return None
    if answer.status_code in (401, 403):
        raise RetrainError("Airflow refuses the account of AIRFLOW_USERNAME")
    try:
        return str(answer.raise_for_status().json()["access_token"])
    except (httpx.HTTPStatusError, ValueError, KeyError, TypeError) as error:
        raise RetrainError(f"Airflow gives no token: it answered {answer.status_code}") from error


def _run_with_token(
    airflow: httpx.Client, token: str, body: dict[str, Any], username: str, password: str
) -> httpx.Response:
    place, content = f"/api/v2/dags/{DAG}/dagRuns", body | {"logical_date": None}
    answer = airflow.post(place, json=content, headers={"Authorization": f"Bearer {token}"})
    if answer.status_code == 401:  # the token may have been made by a server that restarted since
        fresh = _token(airflow, username, password, may_lack=False)
        answer = airflow.post(place, json=content, headers={"Authorization": f"Bearer {fresh}"})
    return answer


def _checked(answer: httpx.Response, run_id: str) -> str:
    if answer.status_code == 409:
        return run_id
    if not answer.is_success:
        raise RetrainError(f"Airflow refuses to run {DAG}: it answered {answer.status_code} {answer.reason_phrase}")
    try:
        return str(answer.json()["dag_run_id"])
    except (ValueError, KeyError, TypeError) as error:  # the page of a proxy, say: nothing was started
        raise RetrainError("Airflow did not say that a run began: is AIRFLOW_URL right?") from error
