"""Which training prompts are nearest to a question, by the words that they share."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ft_assets.conversation_digests import conversation_digest
from ft_assets.errors import MissingInput
from ft_assets.evaluation.items import EvalItem, digest
from ft_assets.records import Message

if TYPE_CHECKING:
    import numpy as np
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer

WORD = r"[^\W_]+"  # numbers and single letters too
ROWS_AT_ONCE = 64  # 50 MB of similarities to 100,000 training rows


class TrainingRow(Protocol):
    """A row of a snapshot's train side. The last message is the answer that was learned."""

    @property
    def example_id(self) -> str: ...
    @property
    def messages(self) -> Sequence[Message]: ...


class Near(NamedTuple):
    """A training row and its similarity to the question, 0 to 1."""

    row: TrainingRow
    similarity: float


class NearestPrompts:
    """The training prompts of one snapshot as TF-IDF vectors of their words and pairs of words.

    A row that is a held-out row, by id or by what is said in it, is not among them. `left_out` names those rows.
    """

    def __init__(self, train_rows: Iterable[TrainingRow], snapshot_digest: str, held_out: Iterable[EvalItem]):
        """`held_out`: the items of every suite of the evaluation, whichever of them is asked.

        Raises:
            MissingInput: no training row is left.
        """
        items = list(held_out)
        ids = {item.row_id for item in items}
        said = {conversation_digest(item.messages) for item in items}
        rows = sorted(train_rows, key=lambda row: row.example_id)
        kept = [row.example_id not in ids and conversation_digest(row.messages) not in said for row in rows]
        self.rows = [row for row, stays in zip(rows, kept, strict=True) if stays]
        self.left_out = [row.example_id for row, stays in zip(rows, kept, strict=True) if not stays]
        self.digest = digest(["nearest by tf-idf of words and pairs, 1", snapshot_digest, self.left_out])
        if not self.rows:
            raise MissingInput(
                f"The snapshot {snapshot_digest[:12]}... has no train row that is not held out, so no prompt is the "
                "nearest. Materialize train_eval_split."
            )

    def nearest(self, items: Sequence[EvalItem], count: int) -> list[list[Near]]:
        """For each item the `count` nearest rows, nearest first; of equally near ones that with the smaller id.

        Similarity is the cosine of the TF-IDF vectors (Salton and Buckley 1988), with the document frequencies of the
        training prompts, as scikit-learn computes them with `sublinear_tf`.
        """
        import numpy as np

        found: list[list[Near]] = []
        for start in range(0, len(items), ROWS_AT_ONCE):
            asked = self._words.transform([prompt_text(item.messages) for item in items[start : start + ROWS_AT_ONCE]])
            # rounded: sums of floats in another order would decide between equally near rows
            similarities = np.round((asked @ self._prompts.T).toarray(), 9)
            found += [self._first(row, count) for row in similarities]
        return found

    def _first(self, similarities: "np.ndarray", count: int) -> list[Near]:
        order = (-similarities).argsort(kind="stable")[:count]
        return [Near(self.rows[i], min(1.0, float(similarities[i]))) for i in order]

    @cached_property
    def _words(self) -> "TfidfVectorizer":
        from sklearn.feature_extraction.text import TfidfVectorizer

        texts = [prompt_text(row.messages) for row in self.rows]
        vectorizer = TfidfVectorizer(token_pattern=WORD, ngram_range=(1, 2), sublinear_tf=True)
        try:
            return vectorizer.fit(texts)
        except ValueError:  # not one word in any prompt: single signs then
            return TfidfVectorizer(analyzer="char", sublinear_tf=True).fit([text or " " for text in texts])

    @cached_property
    def _prompts(self) -> "csr_matrix":
        return self._words.transform([prompt_text(row.messages) for row in self.rows])


def prompt_text(messages: Sequence[Message]) -> str:
    """What is said before the answer, without system turns."""
    return "\n".join(message.content for message in messages[:-1] if message.role != "system")
