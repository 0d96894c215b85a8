"""One call for a notebook: photos in, result out, with bars while it works."""

import contextlib
import os
from pathlib import Path

from distributed import Client
from rich.console import Console

from reconflow.config import PipelineConfig
from reconflow.pipeline.cluster import open_client
from reconflow.pipeline.events import EventSink
from reconflow.pipeline.preparation import check_methods
from reconflow.pipeline.progress import progress_on
from reconflow.pipeline.result import RunResult
from reconflow.pipeline.run import run


def reconstruct(
    photos: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    client: Client | None = None,
    config: PipelineConfig | None = None,
    dataset: str | None = None,
    store: str | None = None,
    on_event: EventSink | None = None,
) -> RunResult:
    """Reconstruct a folder or ZIP of photos.

    Calling it again with the same folder goes on from what is stored there, and with other mapping options it
    repeats nothing before mapping.

    Parameters
    ----------
    photos : path
        A folder, with its sub-folders, or a ZIP.
    out : path, optional
        Where results go; ``<photos>-reconflow`` beside the photos by default.
    client : Client, optional
        From :func:`reconflow.open_client`, or any Dask client; without one, a local cluster lives for this call.
    config : PipelineConfig, optional
        The defaults where it is left out.
    dataset : str, optional
        Name in the submission; the input's name by default.
    store : str, optional
        Path or URL of a store of features and matches shared between runs.
    on_event : callable, optional
        Hears the run's events instead of the progress bars.

    Returns
    -------
    RunResult
        Empty ``clusters`` where nothing could be reconstructed; ``images`` says why for each photo.

    Raises
    ------
    ReconflowError
        As :func:`reconflow.pipeline.run.run` does.

    """
    source = Path(photos)
    target = Path(out) if out is not None else source.with_name(f"{source.stem}-reconflow")
    settings = config or PipelineConfig()
    check_methods(settings)
    with contextlib.ExitStack() as stack:
        cluster = client or stack.enter_context(open_client())
        listen = on_event or stack.enter_context(progress_on(Console()))
        return run(
            source,
            target,
            client=cluster,
            config=settings,
            dataset=dataset,
            store=store,
            on_event=listen,
        )
