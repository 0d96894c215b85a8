"""What a run says while it works. The command line's bars, the notebook's, a stream and the tests hear the same."""

from collections.abc import Callable

import msgspec


class StageStarted(msgspec.Struct, frozen=True, kw_only=True, tag="stage_started"):
    """A stage begins: how many units it has, and how many of them are stored already."""

    stage: str
    unit: str
    total: int
    reused: int = 0


class StageAdvanced(msgspec.Struct, frozen=True, kw_only=True, tag="stage_advanced"):
    """A stage has done ``done`` of ``total`` units, those reused included; it never goes back."""

    stage: str
    done: int
    total: int
    detail: str = ""


class StageFinished(msgspec.Struct, frozen=True, kw_only=True, tag="stage_finished"):
    """A stage is done."""

    stage: str
    done: int
    reused: int
    failed: int
    seconds: float


class Notice(msgspec.Struct, frozen=True, kw_only=True, tag="notice"):
    """Something a person should know that is no failure of the run."""

    stage: str
    message: str


Event = StageStarted | StageAdvanced | StageFinished | Notice
EventSink = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Listen to nothing."""
