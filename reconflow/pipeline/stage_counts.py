"""Counts of a stage under way."""

import time

from reconflow.pipeline.events import EventSink, StageAdvanced, StageFinished, StageStarted


class StageCounts:
    """Counts of a stage under way, told to the listener as they grow."""

    def __init__(self, name: str, unit: str, total: int, reused: int, tell: EventSink):
        self.name = name
        self.total = total
        self.reused = reused
        self.done = reused
        self.failed = 0
        self._tell = tell
        self._started = time.monotonic()
        tell(StageStarted(stage=name, unit=unit, total=total, reused=reused))

    def advance(self, fresh: int, detail: str = "") -> None:
        """Say that ``fresh`` units beyond the reused ones are done; a smaller number than before is passed over."""
        done = min(self.total, self.reused + fresh)
        if done > self.done:
            self.done = done
            self._tell(StageAdvanced(stage=self.name, done=done, total=self.total, detail=detail))

    def finish(self) -> float:
        """Say that the stage is done and return its seconds."""
        seconds = time.monotonic() - self._started
        self._tell(
            StageFinished(
                stage=self.name, done=self.total, reused=self.reused, failed=self.failed, seconds=round(seconds, 3)
            )
        )
        return seconds
