import io

from rich.console import Console

from reconflow.pipeline.events import Notice, StageAdvanced, StageFinished, StageStarted
from reconflow.pipeline.progress import ProgressBars, ProgressLines, progress_on


def test_a_terminal_gets_bars_and_a_log_gets_lines():
    assert isinstance(progress_on(Console(file=io.StringIO(), force_terminal=True)), ProgressBars)
    assert isinstance(progress_on(Console(file=io.StringIO(), force_terminal=False)), ProgressLines)


def test_a_log_hears_of_a_long_stage_every_half_a_minute():
    now = 0.0
    written = io.StringIO()
    with ProgressLines(Console(file=written, width=40), clock=lambda: now) as lines:
        lines(StageStarted(stage="match", unit="pairs", total=9000, reused=1000))
        for done in range(1000, 9001, 1000):
            lines(StageAdvanced(stage="match", done=done, total=9000))
            now += 12
        lines(Notice(stage="match", message="something to know"))
        lines(StageFinished(stage="match", done=9000, reused=1000, failed=2, seconds=108.0))
        lines(StageFinished(stage="split", done=1, reused=0, failed=0, seconds=0.1))
    assert written.getvalue().splitlines() == [
        "Matching pairs: 4,000 of 9,000 pairs",
        "Matching pairs: 7,000 of 9,000 pairs",
        "! something to know",
        "Matching pairs: 9,000 pairs in 108.0 s, 1,000 reused, 2 failed",
    ]
