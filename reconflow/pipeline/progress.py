"""A run's events as progress bars, in a terminal and in a notebook, and as lines where neither is: in a log."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from reconflow.pipeline.events import Event, EventSink, Notice, StageAdvanced, StageFinished, StageStarted
from reconflow.report.sections import STAGE_LABELS

_QUIET = frozenset({"shortlist", "split", "report"})
"""Stages that take no time worth a bar unless the set is large."""
_LINE_EVERY_S = 30.0


def progress_on(console: Console) -> AbstractContextManager[EventSink]:
    """Return what shows a run's events on a console: bars where it can redraw them, else lines."""
    return ProgressBars(console) if console.is_terminal or console.is_jupyter else ProgressLines(console)


class ProgressBars:
    """Listens to a run and shows one bar per stage; use it as a context manager around the run.

    >>> from reconflow.pipeline.events import StageStarted, StageFinished
    >>> import io
    >>> console = Console(file=io.StringIO(), width=80)
    >>> with ProgressBars(console) as bars:
    ...     bars(StageStarted(stage="extract", unit="photos", total=3, reused=1))
    ...     bars(StageFinished(stage="extract", done=3, reused=1, failed=0, seconds=1.0))
    >>> "Finding features" in console.file.getvalue()
    True
    """

    def __init__(self, console: Console):
        self._console = console
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description:<16}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=console,
        )
        self._bars: dict[str, TaskID] = {}

    def __enter__(self) -> "ProgressBars":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, StageStarted):
            note = f"{event.reused} reused" if event.reused else ""
            total, done = event.total, event.reused
            if event.stage in self._bars:  # a second look: what it goes through takes turns in one bar
                bar = self._bars[event.stage]
                self._progress.reset(bar, total=total, completed=done, note=note, unit=event.unit)
                return
            self._bars[event.stage] = self._progress.add_task(
                STAGE_LABELS.get(event.stage, event.stage),
                total=total,
                completed=done,
                note=note,
                unit=event.unit,
                visible=event.stage not in _QUIET or total > 200,
            )
        elif isinstance(event, StageAdvanced):
            self._progress.update(self._bars[event.stage], completed=event.done)
        elif isinstance(event, StageFinished):
            notes = [f"{event.reused} reused"] if event.reused else []
            notes += [f"[yellow]{event.failed} failed"] if event.failed else []
            # A stage without units (no model to clean, say) still ends with a full bar.
            self._progress.update(
                self._bars[event.stage], completed=event.done or 1, total=event.done or 1, note=", ".join(notes)
            )
        else:
            _print_notice(self._console, event)


class ProgressLines:
    """Listens to a run and prints a line when a stage ends, and every half a minute how far a long one is.

    >>> import io
    >>> console = Console(file=io.StringIO(), width=80)
    >>> with ProgressLines(console) as lines:
    ...     lines(StageStarted(stage="extract", unit="photos", total=3, reused=1))
    ...     lines(StageFinished(stage="extract", done=3, reused=1, failed=0, seconds=2.0))
    >>> print(console.file.getvalue(), end="")
    Finding features: 3 photos in 2.0 s, 1 reused
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic):
        self._console = console
        self._clock = clock
        self._units: dict[str, str] = {}
        self._told_at = 0.0

    def __enter__(self) -> "ProgressLines":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def __call__(self, event: Event) -> None:
        """Print one event, if it is worth a line."""
        if isinstance(event, Notice):
            _print_notice(self._console, event)
        elif isinstance(event, StageStarted):
            self._units[event.stage] = event.unit
            self._told_at = self._clock()
        elif isinstance(event, StageAdvanced):
            if self._clock() - self._told_at >= _LINE_EVERY_S:
                self._told_at = self._clock()
                self._tell(event.stage, f"{event.done:,} of {event.total:,} {self._units[event.stage]}")
        elif event.done and event.stage not in _QUIET:
            notes = [f", {event.reused:,} reused"] if event.reused else []
            notes += [f", {event.failed:,} failed"] if event.failed else []
            unit = self._units[event.stage]
            done = f"{event.done:,} {unit.removesuffix('s') if event.done == 1 else unit}"
            self._tell(event.stage, f"{done} in {event.seconds:.1f} s{''.join(notes)}")

    def _tell(self, stage: str, text: str) -> None:
        self._console.print(f"{STAGE_LABELS.get(stage, stage)}: {text}", highlight=False, soft_wrap=True)


def _print_notice(console: Console, event: Notice) -> None:
    console.print(f"[yellow]![/] {escape(event.message)}", highlight=False)


class _RateColumn(ProgressColumn):
    """Units per second since the stage began, reused ones not counted by rich's own speed estimate."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.1f} {task.fields['unit']}/s" if speed else "", style="dim")
