"""Near-duplicates as people find them: word 5-grams, datasketch's MinHash and LSH, exact Jaccard on the candidates.

A MinHash object per row, filled by `update_batch`. `MinHash.generator` would make them together and cheaper: at 100,000
rows this part takes 18 CPU-seconds with it where it takes 29 without, of about 100 of the whole pipeline.
"""

import re
from collections.abc import Sequence

from datasketch import MinHash, MinHashLSH

THRESHOLD = 0.8
PERMUTATIONS = 128
WORD = re.compile(r"\w+")


def shingles(text: str) -> set[str]:
    """The 5-grams of the lower-case words; a shorter text is one."""
    words = WORD.findall(text.lower())
    return {" ".join(words[start : start + 5]) for start in range(max(1, len(words) - 4))}


def alike(one: set[str], other: set[str]) -> bool:
    """Whether two sets reach the threshold."""
    return len(one & other) >= THRESHOLD * len(one | other)


class PlainNearDuplicates:
    """All rows so far. Their texts are kept to verify candidates, their shingles are not: those need ten times more."""

    def __init__(self) -> None:
        self._lsh = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
        self._texts: list[tuple[str, str]] = []

    def add(self, texts: Sequence[tuple[str, str]]) -> list[list[int]]:
        """For each (prompt, answer), the numbers of the earlier rows of which prompt and answer are near copies."""
        cut = [(shingles(prompt), shingles(answer)) for prompt, answer in texts]
        found = []
        for text, (prompt, answer) in zip(texts, cut, strict=True):
            sketch = MinHash(num_perm=PERMUTATIONS)
            sketch.update_batch([gram.encode() for gram in prompt | answer])
            earlier = [
                other
                for other in sorted(self._lsh.query(sketch))
                if alike(answer, shingles(self._texts[other][1])) and alike(prompt, shingles(self._texts[other][0]))
            ]
            self._lsh.insert(len(self._texts), sketch, check_duplication=False)
            self._texts.append(text)
            found.append(earlier)
        return found
