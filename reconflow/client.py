"""The web service from Python, for scripts and notebooks.

>>> client = Client("http://127.0.0.1:8000", api_key="rf_…")  # doctest: +SKIP
>>> job_id = client.upload("photos/", options={"preset": "fast"})  # doctest: +SKIP
>>> client.wait(job_id)["stage"]  # doctest: +SKIP
'success'
>>> client.download(job_id, "result")  # doctest: +SKIP
"""

import base64
import math
import os
import tempfile
import threading
import time
import uuid
import zipfile
from collections.abc import Generator, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import httpx
import msgspec

from reconflow import errors
from reconflow.core.images import IMAGE_SUFFIXES
from reconflow.errors import InputError, ServiceError

_POLL_S = 0.5
_ENDED = frozenset({"success", "failed", "cancelled"})
_LARGE = 64 << 20
"""Bytes from which on an upload is worth resuming."""
_PIECE = 64 << 20
_BLOCK = 1 << 18
_TUS = {"Tus-Resumable": "1.0.0"}
_LOOK_S = 900.0
"""The service takes up to ten minutes to look at an upload's photos before it answers."""
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 10.0
_TRANSIENT = (errors.UnreachableError, errors.NotReadyError)
"""What goes away by itself while a service restarts: no answer, 502 and 504 of a proxy, 503."""
_IN_PIECES = (*_TRANSIENT, errors.JobStateError, errors.UploadBusyError)
"""What may go away by itself once an upload has begun: 409 and 423 too, of a piece that was sent before."""
_LOST = (httpx.ReadError, httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.WriteError)
"""Ends of a connection that leave open what the service took."""
_KINDS: dict[int, type[errors.ReconflowError]] = {
    400: errors.InputError,
    401: errors.CredentialsError,
    403: errors.ForbiddenError,
    404: errors.NotFoundError,
    409: errors.JobStateError,
    410: errors.UploadEndedError,
    413: errors.TooLargeError,
    423: errors.UploadBusyError,
    429: errors.ThrottledError,
    502: errors.UnreachableError,
    503: errors.NotReadyError,
    504: errors.UnreachableError,
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
    patience_s : float
        How long resumable uploads and :meth:`wait` outlast a service that is away.

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
        patience_s: float = 300.0,
    ):
        self._http = httpx.Client(base_url=base_url, timeout=timeout_s)
        self._patience_s = patience_s
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
        webhook_url: str | None = None,
        resumable: bool | None = None,
    ) -> str:
        """Upload a ZIP, or a folder with its sub-folders, and return the job's id.

        ``resumable`` uploads go on where they were when the connection, or the service, comes back within minutes;
        by default those of more than 64 MB. Others are sent once more when the answer is lost. Uploads with the same
        ``idempotency_key`` make one job; without one, each call makes a key of its own. ``webhook_url`` is told when
        the job ends.
        """
        source = Path(photos)
        if not source.exists():
            raise InputError(f"{source} does not exist")
        fields = {"dataset_name": dataset_name, "scene_name": scene_name}
        if options:
            fields["options"] = msgspec.json.encode(options).decode()
        if webhook_url:
            fields["webhook_url"] = webhook_url
        key = idempotency_key or str(uuid.uuid4())
        with tempfile.TemporaryDirectory() as scratch:
            path = source if source.is_file() else _packed(source, Path(scratch) / "photos.zip")
            with path.open("rb") as file:
                if path.stat().st_size > _LARGE if resumable is None else resumable:
                    return self._upload_in_pieces(file, path.stat().st_size, fields | {"idempotency_key": key})
                return self._upload_at_once(file, fields, key)

    def _upload_at_once(self, file: BinaryIO, fields: Mapping[str, str], key: str) -> str:
        """Upload as a form; the key keeps a second sending from becoming a second job."""
        files = {"file": ("photos.zip", file, "application/zip")}
        headers = {"Idempotency-Key": key}
        send = partial(
            self._ask, "POST", "/upload", data=fields, files=files, headers=headers, timeout=self._patiently()
        )
        try:
            return str(send()["job_id"])
        except errors.UnreachableError as error:
            if not isinstance(error.__cause__, _LOST):
                raise
            file.seek(0)
            return str(send()["job_id"])

    def _upload_in_pieces(self, file: BinaryIO, size: int, fields: Mapping[str, str]) -> str:
        """Upload by tus 1.0. Pieces have no checksum of their own, so that of a lost one all that arrived counts."""
        metadata = ",".join(f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in fields.items())
        told = _TUS | {"Upload-Length": str(size), "Upload-Metadata": metadata}
        patience = _Patience(self._patience_s)
        url = self._begun(told, patience)
        offset = 0
        while offset < size:
            try:
                headers = _TUS | {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
                headers["Content-Length"] = str(min(_PIECE, size - offset))
                piece = partial(_blocks, file, offset, min(_PIECE, size - offset))
                offset = int(self._send("PATCH", url, content=piece, headers=headers).headers["upload-offset"])
            except _IN_PIECES as error:
                patience.wait(error)
                offset = self._offset(url, patience)
            patience.renew(offset)
        while True:
            try:
                return str(self._ask("POST", f"{url}/job", timeout=self._patiently())["job_id"])
            except _IN_PIECES as error:
                patience.wait(error)

    def _patiently(self) -> httpx.Timeout:
        """Return the time-out of a request whose photos are looked at before it is answered."""
        usual = self._http.timeout
        read_s = None if usual.read is None else max(usual.read, _LOOK_S)
        return httpx.Timeout(connect=usual.connect, read=read_s, write=usual.write, pool=usual.pool)

    def _begun(self, told: Mapping[str, str], patience: "_Patience") -> str:
        """Return the address of a new upload; one whose answer is lost stays empty, and expires."""
        while True:
            try:
                return self._send("POST", "/uploads", headers=told).headers["location"]
            except _TRANSIENT as error:
                patience.wait(error)

    def _offset(self, url: str, patience: "_Patience") -> int:
        while True:
            try:
                return int(self._send("HEAD", url, headers=_TUS).headers["upload-offset"])
            except _IN_PIECES as error:
                patience.wait(error)

    def job(self, job_id: str) -> dict[str, Any]:
        """Return a job."""
        return self._ask("GET", f"/jobs/{job_id}")

    def jobs(self, **filters: str | int | list[str]) -> list[dict[str, Any]]:
        """Return jobs, newest first; ``stage`` (one or several), ``dataset`` and ``q`` (words) narrow them."""
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
        JobTimeoutError
            If it has not ended after ``timeout_s`` seconds, whether the service answers or not; it goes on running.

        """
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        patience = _Patience(self._patience_s)
        with Progress(*columns, disable=not progress) as bars:
            bar = bars.add_task("queued", total=100)
            last_known = "queued"
            while True:
                try:
                    job = self.job(job_id)
                except _TRANSIENT as error:  # a restart ends no job
                    _check_deadline(deadline, timeout_s, last_known)
                    patience.wait(error, until=deadline)
                    continue
                patience.renew()
                last_known = job["stage"]
                bars.update(bar, completed=job["progress"], description=f"{last_known}: {job['message']}")
                if last_known in _ENDED:
                    return job
                _check_deadline(deadline, timeout_s, last_known)
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
        answer = self._request(method, path, **request)
        if answer.status_code == 401 and self._login is not None:
            self._log_in()
            for _, file, _ in request.get("files", {}).values():
                file.seek(0)
            answer = self._request(method, path, **request)
        return _checked(answer)

    def _request(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            content = request.get("content")
            return self._http.request(method, path, **request | ({"content": content()} if content else {}))
        except httpx.TransportError as error:
            raise errors.UnreachableError(f"the service at {self._http.base_url} does not answer: {error}") from error

    def _log_in(self) -> None:
        with self._lock:
            token = _checked(self._request("POST", "/auth/token", json=self._login)).json()["access_token"]
            self._http.headers["Authorization"] = f"Bearer {token}"

    def _save(self, path: str, target: Path) -> Path:
        unfinished = target.with_name(f"{target.name}.partial")
        try:
            try:
                self._fetch(path, unfinished)
            except errors.CredentialsError:  # tokens live for minutes, and many clouds take longer
                if self._login is None:
                    raise
                self._log_in()
                self._fetch(path, unfinished)
            return unfinished.rename(target)
        except httpx.TransportError as error:
            raise errors.UnreachableError(f"{target.name} did not come whole: {error}") from error
        finally:
            unfinished.unlink(missing_ok=True)

    def _fetch(self, path: str, target: Path) -> None:
        with self._http.stream("GET", path) as answer:
            if answer.is_error:
                answer.read()
            _checked(answer)
            with target.open("wb") as file:
                for block in answer.iter_bytes():
                    file.write(block)


class _Patience:
    """Waits longer and longer between tries, and gives up when nothing has moved for too long."""

    def __init__(self, patience_s: float):
        self._patience_s = patience_s
        self._marker: object = None
        self.renew()

    def renew(self, marker: object = None) -> None:
        """Begin anew, where there is progress: a marker is another one than before."""
        if marker is None or marker != self._marker:
            self._marker = marker
            self._pause_s = _SHORTEST_PAUSE_S
            self._deadline = time.monotonic() + self._patience_s

    def wait(self, error: errors.ReconflowError, *, until: float = math.inf) -> None:
        """Wait before another try, no longer than ``until``, or raise the error of the last."""
        now = time.monotonic()
        pause_s = max(0.0, min(self._pause_s, until - now))
        if now + pause_s > self._deadline:
            raise error
        time.sleep(pause_s)
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)


def _check_deadline(deadline: float, timeout_s: float | None, stage: str) -> None:
    if timeout_s is not None and time.monotonic() > deadline:
        raise errors.JobTimeoutError(f"the job has not ended after {timeout_s:g} seconds: {stage}")


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    try:
        detail = str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"the service answered {answer.status_code}"
    raise _KINDS.get(answer.status_code, ServiceError)(detail)


def _blocks(file: BinaryIO, start: int, size: int) -> Generator[bytes]:
    file.seek(start)
    while size > 0 and (block := file.read(min(_BLOCK, size))):
        size -= len(block)
        yield block


def _packed(folder: Path, target: Path) -> Path:
    photos = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    # Dates that a ZIP cannot hold, before 1980, are moved to the first that it can.
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for path in photos:
            archive.write(path, path.relative_to(folder).as_posix())
    return target
