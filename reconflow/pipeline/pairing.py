"""Which photos are matched with which: the shortlist, and what is tried once more in quarter turns."""

from collections.abc import Sequence

from reconflow.core.images import ImageRecord
from reconflow.core.matches import PairSummary
from reconflow.core.pairs import Pair
from reconflow.errors import StageError
from reconflow.nets.retrievers import VLAD, parse_retrievers
from reconflow.pipeline.dispatch import Died
from reconflow.pipeline.events import Notice
from reconflow.pipeline.pair_table import PairTable
from reconflow.pipeline.retrieval import retrieve
from reconflow.pipeline.run_context import RunContext
from reconflow.pipeline.sight import Sight
from reconflow.pipeline.stage_work import StageWork
from reconflow.pipeline.turning import turned_to_match, upright
from reconflow.pipeline.work_items import RetrieveTask, TileImage
from reconflow.stages.cameras import CameraRig
from reconflow.stages.shortlist import needs_retrieval, shortlist_pairs


class Pairing:
    """Chooses the pairs of one run."""

    def __init__(self, work: StageWork, sight: Sight, context: RunContext):
        self._work = work
        self._sight = sight
        self._context = context
        self._config = context.config.shortlist

    def shortlist(self, records: Sequence[ImageRecord], images: Sequence[TileImage]) -> list[Pair]:
        """Return the pairs worth matching, as indices into the photos; those of a large set are ranked first."""
        retrieved: list[list[int]] = []
        large = needs_retrieval(len(records), config=self._config)
        # The matcher's encoder has seen the photos before.
        more = [name for name in self._context.encodings if name != self._context.encoder] if large else []
        stored = {name: self._sight.encoded(name) for name in more}
        standing = [upright(record) for record in records]
        have = sum(record.content in refs for refs in stored.values() for record in standing)
        total = len(records) * (1 + len(more))
        with self._work.stage("shortlist", unit="photos", total=total, reused=have) as stage:
            if large:
                encodings = [tuple(image.encoding for image in images)] if self._context.encoder else []
                encodings += [self._sight.encode(standing, name, refs, stage) for name, refs in stored.items()]
                has_vote = VLAD in parse_retrievers(self._config.retrieval)
                features = tuple(image.refs[0] for image in images) if has_vote else ()
                work = RetrieveTask("retrieve", len(records), features, tuple(encodings))
                before = stage.done - stage.reused
                for ended in self._work.do([work], retrieve, stage, self._context, before=before):
                    if isinstance(ended, Died):
                        raise StageError(f"retrieval failed: {ended.reason}", stage="shortlist")
                    retrieved = ended.outcome
            pairs = shortlist_pairs(records, retrieved=retrieved, config=self._config)
            stage.advance(total)
        return pairs

    def turn(
        self, records: Sequence[ImageRecord], rig: CameraRig, table: PairTable
    ) -> tuple[list[ImageRecord], PairTable]:
        """Try what does not match in quarter turns; return the photos as they stand now, and all pairs matched so.

        Nothing changes where no network looks at the photos, or settings say so.
        """
        if not (self._context.upright and self._config.turns):
            return list(records), table

        def look(views: Sequence[ImageRecord], pairs: Sequence[Pair]) -> dict[Pair, PairSummary]:
            seen = self._sight.extract(views)
            place = {old: new for new, old in enumerate(n for n, view in enumerate(views) if view in seen)}
            have = [(a, b) for a, b in pairs if a in place and b in place]
            tried = self._sight.match(
                [views[n] for n in place], [(place[a], place[b]) for a, b in have], seen=seen, rig=rig
            )
            return dict(zip(have, tried.summaries(), strict=True))

        with self._work.second_look("turn"):
            settled = turned_to_match(records, table.pairs, table.summaries(), look=look)
            count = sum(one != other for one, other in zip(settled, records, strict=True))
            if count:
                seen = self._sight.extract(settled)
                settled = [one if one in seen else other for one, other in zip(settled, records, strict=True)]
                table = self._sight.match(settled, table.pairs, seen=seen, rig=rig)
                self._work.tell(Notice(stage="turn", message=f"{count} photos match the others once they are turned"))
        return settled, table
