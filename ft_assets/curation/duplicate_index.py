"""The index of duplicates in the lake: one segment per published day, which outlives processes and machines.

A segment can always be made again from the day's rows in `curated_examples`, and its key is the digest of the files
that hold them. So a run that dies between the table and the index loses nothing: the segment is simply not there.
"""

import resource
from collections.abc import Mapping

import polars as pl

from ft_assets.curation.duplicates import segment_of
from ft_assets.curation.segment import Segment
from ft_assets.errors import IncompleteArtifact
from ft_assets.example_ids import ID_DIGITS
from ft_assets.lake import Lake

NAME, TABLE = "near_duplicates", "curated_examples"
OF_THIS_VERSION = (pl.col("duplicate_group").str.len_bytes() == ID_DIGITS).fill_null(False)
_OTHER_FILES = 1024
PUBLISHED = ("example_id", "day", "duplicate_group", "cluster_id", "linked_clusters", "n_tokens")


class DuplicateIndex:
    """`segments`: day to what is compared of its examples, mapped from disk, for every published day in order."""

    def __init__(self, lake: Lake):
        """Opens what is there, and makes the segments that are missing or damaged."""
        self._lake = lake
        self.segments: dict[str, Segment] = {}
        keys = sorted(lake.fingerprints(TABLE).items())
        _allow_open_files(len(keys))
        for day, key in keys:
            if segment := self._opened(day, key) or self._made_again(day, key):
                self.segments[day] = segment

    def published(self, days: list[str]) -> pl.DataFrame | None:
        """What these days' rows keep when the days are made again."""
        if not self._lake.exists(TABLE):
            return None
        rows = self._lake.scan(TABLE, {"day": days})
        if not set(PUBLISHED) <= set(rows.collect_schema()):
            return None  # an earlier version wrote the table: all its days are made anew
        return rows.select(PUBLISHED).filter(OF_THIS_VERSION).collect()

    def publish(self, made: Mapping[str, Segment]) -> None:
        """Puts the segments of days that were just written to the table into the place of their earlier ones."""
        keys = self._lake.fingerprints(TABLE)
        for day, segment in made.items():
            self.segments.pop(day, None)
            if day in keys:  # a day without an example has no file in the table
                self.segments[day] = self._stored(day, keys[day], segment)
        self.segments = dict(sorted(self.segments.items()))

    def _opened(self, day: str, key: str) -> Segment | None:
        path = self._lake.segment(NAME, day, key)
        try:
            return Segment.open(path) if path else None
        except IncompleteArtifact:
            return None

    def _made_again(self, day: str, key: str) -> Segment | None:
        """None for a day that an earlier version wrote: it has no groups or longer ids, and counts as not published."""
        rows = self._lake.scan(TABLE, {"day": [day]}).collect()
        if "duplicate_group" not in rows.columns or not rows.select(OF_THIS_VERSION.all()).item():
            return None
        return self._stored(day, key, segment_of(rows))

    def _stored(self, day: str, key: str, segment: Segment) -> Segment:
        return Segment.open(self._lake.put_segment(NAME, day, key, *segment.parts()))


def _allow_open_files(segments: int) -> None:
    """Raises this process's limit of open files where it can: before Python 3.13 a mapped file holds one."""
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = segments + _OTHER_FILES
    if limit != resource.RLIM_INFINITY and limit < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if most < 0 else min(wanted, most), most))
