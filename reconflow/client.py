"""The web service from Python, for scripts and notebooks.

>>> client = Client("http://127.0.0.1:8000", api_key="rf_…")  # doctest: +SKIP
>>> job_id = client.upload("photos/", options={"preset": "fast"})  # doctest: +SKIP
>>> client.wait(job_id)["stage"]  # doctest: +SKIP
'success'
>>> client.download(job_id, "result")  # doctest: +SKIP
"""

import os
import tempfile
import threading
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import msgspec

from reconflow import errors
from reconflow.core.images import IMAGE_SUFFIXES
from reconflow.errors import InputError, JobStateError, ServiceError

_POLL_S = 0.5
_ENDED = frozenset({"success", "failed", "cancelled"})
_KINDS: dict[int, type[errors.ReconflowError]] = {
    400: errors.InputError,
    401: errors.CredentialsError,
    403: errors.ForbiddenError,
    404: errors.JobNotFoundError,
    409: errors.JobStateError,
    413: errors.TooLargeError,
    429: errors.ThrottledError,
    502: errors.RetrainError,
    503: errors.NotReadyError,
    507: errors.DiskFullError,
}


class Client:
    """A connection to a service; close it, or use it as a context.

    Parameters
    ----------
    base_url : str
        Such as ``http://127.0.0.1:8000``.
    api_key : str, optional
        A key made with ``POST /auth/keys``.
    username, password : str, optional
        An account instead of a key; the token is renewed as needed.
    timeout_s : float
        For each answer; uploads and downloads may take longer as long as bytes flow.

    Every method raises the error of `reconflow.errors` that fits the service's answer, with its sentence.

    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        username: str | None = None,
        password: str | None = None,
        timeout_s: float = 60.0,
    ):
        self._http = httpx.Client(base_url=base_url, timeout=timeout_s)
        self._login = {"username": username, "password": password} if username is not None else None
        self._lock = threading.Lock()
        if api_key is not None:
            self._http.headers["Authorization"] = f"Bearer {api_key}"

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def upload(
        self,
        photos: str | os.PathLike[str],
        *,
        dataset_name: str = "custom",
        scene_name: str = "scene_01",
        options: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> str:
        """Upload a ZIP, or a folder with its sub-folders, and return the job's id."""
        source = Path(photos)
        if not source.exists():
            raise InputError(f"{source} does not exist")
        fields = {"dataset_name": dataset_name, "scene_name": scene_name}
        if options:
            fields["options"] = msgspec.json.encode(options).decode()
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        with tempfile.TemporaryDirectory() as scratch:
            path = source if source.is_file() else _packed(source, Path(scratch) / "photos.zip")
            with path.open("rb") as file:
                files = {"file": ("photos.zip", file, "application/zip")}
                return str(self._ask("POST", "/upload", data=fields, files=files, headers=headers)["job_id"])

    def job(self, job_id: str) -> dict[str, Any]:
        """Return a job."""
        return self._ask("GET", f"/jobs/{job_id}")

    def jobs(self, **filters: str | int) -> list[dict[str, Any]]:
        """Return jobs, newest first; ``stage`` and ``dataset`` narrow them."""
        found: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            page = self._ask("GET", "/jobs", params=filters | ({"cursor": cursor} if cursor else {}))
            found += page["jobs"]
            cursor = page["next_cursor"]
        return found

    def wait(self, job_id: str, *, progress: bool = True, timeout_s: float | None = None) -> dict[str, Any]:
        """Wait until a job has ended and return it, with a progress bar on the way.

        Raises
        ------
        JobStateError
            If it has not ended after ``timeout_s`` seconds; it goes on running.

        """
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        with Progress(*columns, disable=not progress) as bars:
            bar = bars.add_task("queued", total=100)
            while True:
                job = self.job(job_id)
                bars.update(bar, completed=job["progress"], description=f"{job['stage']}: {job['message']}")
                if job["stage"] in _ENDED:
                    return job
                if deadline is not None and time.monotonic() > deadline:
                    raise JobStateError(f"the job has not ended after {timeout_s:g} seconds: {job['stage']}")
                time.sleep(_POLL_S)

    def download(self, job_id: str, folder: str | os.PathLike[str]) -> list[Path]:
        """Write the job's clouds and its CSV into a folder, and return their paths."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        names = [entry["filename"] for entry in self._ask("GET", f"/clusters/{job_id}")["clusters"]]
        written = [self._save(f"/download/jobs/{job_id}/{name}", target / name) for name in names if name]
        return [*written, self._save(f"/download/jobs/{job_id}/csv", target / "submission.csv")]

    def insights(self, job_id: str) -> dict[str, Any]:
        """Return the job in numbers."""
        return self._ask("GET", f"/jobs/{job_id}/insights")

    def images(self, job_id: str) -> list[dict[str, Any]]:
        """Return what became of every file of the upload."""
        return self._ask("GET", f"/jobs/{job_id}/images")["images"]

    def cancel(self, job_id: str) -> dict[str, Any]:
        """End a job."""
        return self._ask("POST", f"/jobs/{job_id}/cancel")

    def retry(self, job_id: str, *, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Queue a failed or cancelled job again."""
        return self._ask("POST", f"/jobs/{job_id}/retry", json={"options": dict(options or {})})

    def delete(self, job_id: str) -> None:
        """Remove a job and its files."""
        self._ask("DELETE", f"/jobs/{job_id}")

    def _ask(self, method: str, path: str, **request: Any) -> Any:
        answer = self._send(method, path, **request)
        return answer.json() if answer.content else None

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        if self._login is not None and "Authorization" not in self._http.headers:
            self._log_in()
        answer = self._http.request(method, path, **request)
        if answer.status_code == 401 and self._login is not None and "files" not in request:
            self._log_in()
            answer = self._http.request(method, path, **request)
        return _checked(answer)

    def _log_in(self) -> None:
        with self._lock:
            token = _checked(self._http.post("/auth/token", json=self._login)).json()["access_token"]
            self._http.headers["Authorization"] = f"Bearer {token}"

    def _save(self, path: str, target: Path) -> Path:
        partial = target.with_name(f"{target.name}.partial")
        with self._http.stream("GET", path) as answer, partial.open("wb") as file:
            if answer.is_error:
                answer.read()
            _checked(answer)
            for block in answer.iter_bytes():
                file.write(block)
        return partial.rename(target)


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    try:
        detail = str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"the service answered {answer.status_code}"
    raise _KINDS.get(answer.status_code, ServiceError)(detail)


def _packed(folder: Path, target: Path) -> Path:
    photos = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in photos:
            archive.write(path, path.relative_to(folder).as_posix())
    return target
