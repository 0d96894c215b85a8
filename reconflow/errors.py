"""The errors reconflow raises on purpose, as one tree.

::

    ReconflowError
    ├── InputError            the photos, ZIP or CSV cannot be used          (exit code 2, HTTP 400)
    │   ├── NoImagesError     nothing in there is a supported image
    │   └── TooFewImagesError fewer than three images can be read
    ├── ConfigError           an option is unknown or out of range            (exit code 2, HTTP 400)
    ├── OutputError           the output place cannot be written              (exit code 2)
    │   ├── RunFolderBusyError another run is writing there
    │   └── DiskFullError     there is no room for it                         (HTTP 507)
    ├── StoreError            what is stored cannot be read or has another schema
    ├── ClusterError          the scheduler or a needed worker is missing     (exit code 2)
    ├── StageError            a stage as a whole failed
    ├── DependencyError       a system library or package is missing, with what to install
    │   └── WeightsError      a model's weights are not here or not usable    (exit code 2)
    ├── Cancelled             the run was cancelled
    └── ServiceError          the web service says no
        ├── CredentialsError     who are you?                                            (HTTP 401)
        ├── ForbiddenError       not with this role                                      (HTTP 403)
        ├── NotFoundError        no such job, upload, key or account, or another's       (HTTP 404)
        ├── JobStateError        not in this stage of the job                            (HTTP 409)
        ├── OffsetError          a piece of an upload does not follow what has come       (HTTP 409)
        ├── UploadEndedError     the upload was refused, has expired or became a job     (HTTP 410)
        ├── TooLargeError        over a limit on uploads                                 (HTTP 413)
        ├── UploadBusyError      another piece of the upload is on its way               (HTTP 423)
        ├── ThrottledError       too many failed logins, or unfinished uploads           (HTTP 429)
        ├── ChecksumError        a piece does not match its checksum                     (HTTP 460)
        ├── RetrainError         Airflow is unreachable or refuses                       (HTTP 502)
        ├── NotReadyError        no worker is up                                         (HTTP 503)
        ├── NotExaminedError     the look at an upload was ended before its end          (HTTP 503)
        ├── UnreachableError     the service does not answer; only the client raises it
        └── JobTimeoutError      the job has not ended in time; only the client raises it

A message is one sentence a person can act on. ``stage`` and ``item`` say where it happened; both survive pickling,
because errors travel from Dask workers to the client.
"""

import errno
from typing import Any


class ReconflowError(Exception):
    """Base of every error reconflow raises on purpose.

    Parameters
    ----------
    message : str
        One sentence: what is wrong and what to do.
    stage : str, optional
        The stage it happened in, such as ``"extract"``.
    item : str, optional
        The image, pair or file it happened at.

    """

    def __init__(self, message: str, *, stage: str | None = None, item: str | None = None):
        super().__init__(message)
        self.message = message
        self.stage = stage
        self.item = item

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.stage, self.item)


def _rebuild(kind: type[ReconflowError], message: str, stage: str | None, item: str | None) -> ReconflowError:
    return kind(message, stage=stage, item=item)


class InputError(ReconflowError):
    """The photos, ZIP or CSV given cannot be used."""


class NoImagesError(InputError):
    """Nothing in the input is a supported image."""


class TooFewImagesError(InputError):
    """Fewer images can be read than a reconstruction needs."""


class ConfigError(ReconflowError):
    """An option is unknown, of the wrong type or out of range."""


class OutputError(ReconflowError):
    """The output place cannot be written."""


class RunFolderBusyError(OutputError):
    """Another run is writing to the folder."""


class DiskFullError(OutputError):
    """There is not enough free disk space."""


class StoreError(ReconflowError):
    """What is stored cannot be read, or was written with another schema."""


class ClusterError(ReconflowError):
    """The scheduler cannot be reached, or no worker offers what a task needs."""


class StageError(ReconflowError):
    """A stage as a whole failed."""


class DependencyError(ReconflowError):
    """A system library or a package is missing; the message says what to install."""


class WeightsError(DependencyError):
    """The weights of a learned model are not on this machine, or are not what they should be."""


class Cancelled(ReconflowError):  # noqa: N818 - not a failure: the user asked for it
    """The run was cancelled."""


class ServiceError(ReconflowError):
    """The web service cannot do what was asked."""


class CredentialsError(ServiceError):
    """The password, token or key is missing, wrong, expired or revoked."""


class ForbiddenError(ServiceError):
    """The account may not do this."""


class NotFoundError(ServiceError):
    """There is no such job, file, upload, key or account, or it is somebody else's."""


class JobStateError(ServiceError):
    """The job is in a stage that does not allow this."""


class OffsetError(ServiceError):
    """A piece of an upload does not follow the bytes that have come."""


class UploadEndedError(ServiceError):
    """The upload was refused, has expired, or became a job."""


class UploadBusyError(ServiceError):
    """Another piece of the upload is on its way."""


class ChecksumError(ServiceError):
    """A piece of an upload does not match its checksum."""


class TooLargeError(ServiceError):
    """An upload is over a limit."""


class ThrottledError(ServiceError):
    """Too many failed logins, or unfinished uploads; the message says what to do."""


class RetrainError(ServiceError):
    """Airflow cannot be reached or refuses."""


class NotReadyError(ServiceError):
    """No worker is up yet."""


class NotExaminedError(ServiceError):
    """The look at an upload was ended from outside, or took too long: nothing is said of the upload."""


class UnreachableError(ServiceError):
    """The service does not answer. Only the client raises it."""


class JobTimeoutError(ServiceError, TimeoutError):
    """The job has not ended in the time it was waited for, and goes on running. Only the client raises it."""


def is_disk_full(error: BaseException) -> bool:
    """Return whether the system says that a disk, or what an account may use of it, is full.

    >>> is_disk_full(OSError(errno.ENOSPC, "No space left on device")), is_disk_full(OSError(errno.EIO, "I/O error"))
    (True, False)
    """
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
