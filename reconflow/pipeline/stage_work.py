"""Doing the tasks of one stage after the other: where they run, what is told of them, how long they took."""

import contextlib
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

from reconflow.pipeline.cluster import Placement
from reconflow.pipeline.dispatch import Advanced, Died, Dispatcher, Done, Task
from reconflow.pipeline.events import EventSink
from reconflow.pipeline.stage_counts import StageCounts

TaskT = TypeVar("TaskT", bound=Task)


class StageWork:
    """The stages of a run as they are worked through.

    Parameters
    ----------
    dispatcher : Dispatcher
        Does the tasks.
    where : Placement
        What the cluster offers.
    tell : callable
        Hears of every stage.

    """

    def __init__(self, dispatcher: Dispatcher, where: Placement, tell: EventSink):
        self.dispatcher = dispatcher
        self.where = where
        self.tell = tell
        self.timings_s: dict[str, float] = {}
        self.reused: dict[str, int] = {}
        self._second_look = ""

    @contextlib.contextmanager
    def stage(self, name: str, *, unit: str, total: int, reused: int = 0) -> Generator[StageCounts]:
        """Tell of a stage while it is under way; a run that was cancelled begins none."""
        self.dispatcher.check()
        name = self._second_look or name
        stage = StageCounts(name, unit, total, reused, self.tell)
        yield stage
        self.timings_s[name] = self.timings_s.get(name, 0.0) + stage.finish()
        self.reused[name] = self.reused.get(name, 0) + reused

    @contextlib.contextmanager
    def second_look(self, name: str) -> Generator[None]:
        """Count the stages that are done once more as parts of the stage ``name``."""
        self._second_look = name
        try:
            yield
        finally:
            self._second_look = ""

    def do(
        self,
        work: Sequence[TaskT],
        body: Callable[..., Any],
        stage: StageCounts,
        *arguments: Any,
        resources: dict[str, float] | None = None,
        before: int = 0,
        homes: Sequence[int] = (),
    ) -> Generator[Done[TaskT] | Died[TaskT]]:
        """Do the tasks and yield how each ended; ``before`` units of the stage were done earlier.

        ``homes`` numbers for each task the worker that should do it.
        """
        where = self.where.compute if resources is None else resources
        steps = self.dispatcher.run(work, body, stage=stage.name, resources=where, arguments=arguments, homes=homes)
        for step in steps:
            if isinstance(step, Advanced):
                stage.advance(before + step.done, step.detail)
            else:
                yield step
