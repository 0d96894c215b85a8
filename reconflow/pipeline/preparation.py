"""What has to be known before a run's first task: its methods, their weights, and where everything is stored."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from reconflow.config import PipelineConfig, config_differences, load_config
from reconflow.errors import Cancelled, ConfigError
from reconflow.nets.catalogue import Weights, weights_named
from reconflow.nets.choice import chosen, with_methods
from reconflow.nets.methods import encoder_of, extractors_of, needs_upright, parse_methods, weights_of
from reconflow.nets.registry import ENCODERS
from reconflow.nets.retrievers import VLAD, encoders_of_retrieval, parse_retrievers
from reconflow.nets.weights import obtain_all, obtain_weights, refuse_out_of_reach
from reconflow.pipeline.cluster import GPU, Placement
from reconflow.pipeline.control import RunLine
from reconflow.pipeline.events import EventSink, Notice
from reconflow.pipeline.matching import encoder, made_with, ready_methods
from reconflow.pipeline.run_context import RunContext
from reconflow.pipeline.stage_counts import StageCounts
from reconflow.pipeline.worker import extractor
from reconflow.presets import NEEDS_NO_WEIGHTS
from reconflow.stages import verify
from reconflow.stages.shortlist import needs_retrieval
from reconflow.store.encodings import encodings_namespace
from reconflow.store.features import features_namespace
from reconflow.store.geometries import geometries_namespace
from reconflow.store.root import Root

_WITHOUT_WEIGHTS = f"the preset `{NEEDS_NO_WEIGHTS}`"


def check_methods(config: PipelineConfig) -> None:
    """Refuse methods that no run could have here, before anything is started for one.

    Raises
    ------
    ConfigError
        If an extractor, matcher or retriever is unknown, or they do not go together.
    WeightsError
        If weights of methods that are named are neither here nor to be fetched.

    """
    names = config.extract.extractor, config.match.matcher
    choice = chosen(*names, gpus=False)
    if names == (choice.extractors, choice.matchers):  # what is auto may come to something else where GPUs are
        refuse_out_of_reach(weights_of(parse_methods(*names)), next_best=_WITHOUT_WEIGHTS)
    parse_retrievers(config.shortlist.retrieval)


def settle(config: PipelineConfig, *, where: Placement, tell: EventSink) -> PipelineConfig:
    """Return the configuration with the extractor and the matcher that ``auto`` stands for here, and tell why.

    Raises
    ------
    ConfigError
        If an extractor or matcher is unknown, or they do not go together.

    """
    choice = chosen(config.extract.extractor, config.match.matcher, gpus=GPU in where.learned)
    if choice.why:
        tell(Notice(stage="ingest", message=choice.why))
    return with_methods(config, choice.extractors, choice.matchers)


def replaced_settings(folder: Path, config: PipelineConfig) -> str:
    """Return what the settings of the result in a run's folder were where those of a new run differ.

    Empty where there is no result, or one of the same settings or of another version, whose settings are other ones.
    """
    if not (folder / "report.json").exists():
        return ""
    try:
        before = load_config(folder / "run.toml")
    except ConfigError:
        return ""
    differences = config_differences(before, config)
    return ", ".join(
        f"{section}.{name}={value if isinstance(value, str) else json.dumps(value)}"
        for section, options in differences.items()
        if section != "execution"
        for name, value in options.items()
    )


def prepare(
    root: Root,
    config: PipelineConfig,
    line: RunLine,
    *,
    where: Placement,
    photos: int,
    tell: EventSink,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> RunContext:
    """Return what every task of a run of so many photos, its methods settled, is given, with the weights it needs here.

    Features are stored by extractor, so that a run with one of several extractors shares them. The precision of
    networks is settled here, since keys hold it: what a GPU made in bfloat16 is not what cores make in float32.

    Raises
    ------
    ConfigError
        If an extractor, matcher or retriever is unknown, or they do not go together.
    WeightsError
        If weights are neither here nor to be had.
    Cancelled
        If the run was cancelled while weights were fetched.

    """
    methods = parse_methods(config.extract.extractor, config.match.matcher)
    ranking = encoders_of_retrieval(parse_retrievers(config.shortlist.retrieval))
    fetch = partial(_fetch, tell=tell, is_cancelled=is_cancelled)
    obtain_all(weights_of(methods), next_best=_WITHOUT_WEIGHTS, obtain=fetch)
    encoder_name = encoder_of(methods)
    encoders = [encoder_name] if encoder_name else []
    if needs_retrieval(photos, config=config.shortlist):
        needed = [weights_named(ENCODERS[name].weights) for name in ranking]
        obtain_all(needed, next_best=f"`shortlist.retrieval={VLAD}`", obtain=fetch)
        encoders += [name for name in ranking if name != encoder_name]
    precision = where.precision if config.match.precision == "auto" else config.match.precision
    if any(method.learned for method in methods):
        config = msgspec.structs.replace(config, match=msgspec.structs.replace(config.match, precision=precision))
    features = {
        name: features_namespace(
            msgspec.structs.replace(config.extract, extractor=name), made_with=extractor(name).made_with
        )
        for name in extractors_of(methods)
    }
    ready = ready_methods(config.extract.extractor, config.match.matcher)
    geometries = geometries_namespace(
        config.match,
        config.verify,
        features=", ".join(features.values()),
        made_with=", ".join([*map(made_with, ready), verify.MADE_WITH]),
    )
    return RunContext(
        store=root.url,
        config=config,
        features=features,
        geometries=geometries,
        line=line,
        encoder=encoder_name,
        encodings={name: encodings_namespace(encoder(name, precision).made_with) for name in encoders},
        precision=precision,
        upright=needs_upright(methods),
    )


def _fetch(weights: Weights, *, tell: EventSink, is_cancelled: Callable[[], bool]) -> None:
    """See to it that a set of weights is here; fetching it is a stage, which begins with its first bytes."""
    fetching: list[StageCounts] = []

    def advance(done: int, total: int) -> None:
        if is_cancelled():
            raise Cancelled("the run was cancelled", stage="weights")
        if not fetching:
            size_mb = total / 1e6 or weights.size_mb
            fetching.append(StageCounts("weights", "MB", max(1, round(size_mb)), 0, tell))
        fetching[0].advance(round(done / 1e6), weights.name)

    obtain_weights(weights, on_progress=advance, tell=lambda text: tell(Notice(stage="weights", message=text)))
    for stage in fetching:
        stage.finish()


def needs_learned(config: PipelineConfig) -> bool:
    """Tell whether any matcher of a run is a learned one, which belongs on a GPU where there is one."""
    return any(method.learned for method in parse_methods(config.extract.extractor, config.match.matcher))
