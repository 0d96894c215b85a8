"""Jobs as a list: which are asked for, newest first, page by page."""

import base64
import binascii
import uuid
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from reconflow.errors import InputError
from reconflow.jobs.forms import check_name
from reconflow.jobs.records import Job
from reconflow.jobs.states import Stage
from reconflow.jobs.tables import jobs, users

_LONGEST_SEARCH = 100


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs are asked for; all of it has to fit."""

    owner_id: str | None = None
    """``None`` asks for everybody's."""
    stages: tuple[Stage, ...] = ()
    """Any of them; none asks for all."""
    dataset: str | None = None
    search: str = ""
    """Words, whole or in part and in any case: of dataset, scene, id and, where everybody's are asked for, owner."""


def check_filter(wanted: JobFilter) -> None:
    """Raise :class:`InputError` where a field cannot be."""
    if wanted.dataset is not None:
        check_name("dataset", wanted.dataset)
    if len(wanted.search) > _LONGEST_SEARCH or not wanted.search.isprintable():
        raise InputError(f"q must be at most {_LONGEST_SEARCH} printable characters")


def newest_first(query: Select[Any], wanted: JobFilter, *, cursor: str | None) -> Select[Any]:
    """Narrow a query of the table of jobs to those wanted, in order, after the page that ``cursor`` ends.

    Raises
    ------
    InputError
        If the cursor is none of ours.

    """
    where: list[ColumnElement[bool]] = [
        _contains(word, owners=wanted.owner_id is None) for word in wanted.search.lower().split()
    ]
    if wanted.owner_id is not None:
        where.append(jobs.c.owner_id == wanted.owner_id)
    if wanted.stages:
        where.append(jobs.c.stage.in_(wanted.stages))
    if wanted.dataset is not None:
        where.append(jobs.c.dataset_name == wanted.dataset)
    if cursor is not None:
        at, job_id = _read_cursor(cursor)
        where.append(or_(jobs.c.created_at < at, and_(jobs.c.created_at == at, jobs.c.job_id < job_id)))
    return query.where(*where).order_by(jobs.c.created_at.desc(), jobs.c.job_id.desc())


def cursor_after(job: Job) -> str:
    """Return where the page after this job begins."""
    return base64.urlsafe_b64encode(msgspec.json.encode([job.created_at, job.job_id])).decode()


def _contains(word: str, *, owners: bool) -> ColumnElement[bool]:
    owner = select(users.c.name).where(users.c.user_id == jobs.c.owner_id).scalar_subquery()
    places = (jobs.c.dataset_name, jobs.c.scene_name, jobs.c.job_id, *([owner] if owners else []))
    return or_(*(func.lower(place).contains(word, autoescape=True) for place in places))


def _read_cursor(cursor: str) -> tuple[float, str]:
    try:
        at, job_id = msgspec.json.decode(base64.urlsafe_b64decode(cursor), type=tuple[float, str])
        return at, str(uuid.UUID(job_id))
    except (binascii.Error, msgspec.MsgspecError, ValueError) as error:
        raise InputError("cursor: not one of ours; leave it out to begin with the newest job") from error
