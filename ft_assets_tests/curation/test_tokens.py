import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from ft_assets.curation.byte_pairs import NOT_COUNTED, read_byte_pairs
from ft_assets.curation.tokens import TokenCounter
from ft_assets.errors import MissingInput

TINY = Path(__file__).resolve().parents[2] / "data" / "tiny_base" / "tokenizer.json"
TEXTS = [
    "",
    "Don't count 1,234.5 twice:\n\n\tsum(x for x in range(3))  # café, naïve…",
    "é a\u00a0b 日本語のテキスト 🙂🙂 STRASSE straße",
    "a" * 5_000,
    " leading and trailing ",
]


LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
CUTS = {
    "gpt2": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "llama3": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"), BYTES]),
    "qwen2": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3.replace("{1,3}", "")), "isolated"), BYTES]),
    "digits apart": pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    ),
    "one piece": BYTES,  # its merges cross blanks
    "blank before": pre_tokenizers.ByteLevel(add_prefix_space=True),
}
FRAGMENTS = [
    *(
        "ab",
        "the",
        " The",
        "don't",
        "'s",
        " 'LL",
        "'",
        "\n",
        ".\n",
        "\n\n",
        " ",
        "  ",
        "\t",
        "\r\n",
        " (",
        "(x",
        '":["',
        "_",
    ),
    *("1", "12", "2026", " 7", "é", "été", "e\u0301", "ſ", "\u00a0", "\u0085", "日本", "ᄒ", "ᅡ", "한", "Å", "🙂", "…"),
    *(
        "<|im_start|>",
        "<|im",
        "<|pad|>",
        "<call>",
        "ABC",
        "camelCase",
        "x" * 70,
        "9" * 70,
        "\0",
        "ǅ",
        "²",
        "½",
        "\u200b",
    ),
]
ANY_TEXT = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join))


@pytest.fixture(scope="module")
def counter() -> TokenCounter:
    return TokenCounter(TINY)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The tokenizer.json of a byte-level BPE with the named way of cutting, trained once."""
    folder = tmp_path_factory.mktemp("tokenizers")

    def path_of(name: str) -> Path:
        path = folder / f"{name}.json"
        if not path.exists():
            trained_tokenizer(name).save(str(path))
        return path

    return path_of


def trained_tokenizer(name: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(ignore_merges=name == "llama3"))
    tokenizer.pre_tokenizer = CUTS[name]
    if name == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.train_from_iterator(
        [*TEXTS, *FRAGMENTS, "".join(FRAGMENTS), Path(json.__file__).read_text(encoding="utf-8")],
        trainers.BpeTrainer(vocab_size=900, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False),
    )
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens([AddedToken("<call>", normalized=False)])
    return tokenizer


def by_library(texts: list[str], path: Path = TINY) -> list[int]:
    tokenizer = Tokenizer.from_file(str(path))
    return [len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts]


def test_counts_are_the_librarys(counter: TokenCounter) -> None:
    assert counter.count(pl.Series(TEXTS)).to_list() == by_library(TEXTS)
    assert counter.count(pl.Series([None, "a"], dtype=pl.String)).to_list() == [0, *by_library(["a"])]
    assert counter.count(pl.Series([], dtype=pl.String)).len() == 0


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(ANY_TEXT, max_size=20))
def test_any_text_has_the_librarys_count(counter: TokenCounter, texts: list[str]) -> None:
    assert counter.count(pl.Series(texts, dtype=pl.String)).to_list() == by_library(texts)


@pytest.mark.parametrize("name", CUTS)
def test_any_text_has_the_librarys_count_by_other_tokenizers(trained: Callable[[str], Path], name: str) -> None:
    path = trained(name)
    counter = TokenCounter(path)

    @settings(max_examples=60, deadline=None)
    @given(texts=st.lists(ANY_TEXT, max_size=20))
    def check(texts: list[str]) -> None:
        assert counter.count(pl.Series(texts, dtype=pl.String)).to_list() == by_library(texts, path)

    check()
    compiled = {"gpt2", "llama3", "qwen2", "digits apart"}
    assert (counter._byte_pairs is not None) == (name in compiled)  # and the library never disagreed


@pytest.mark.parametrize("name", ["tiny", "gpt2", "llama3", "qwen2", "digits apart"])
def test_a_piece_that_is_counted_here_has_the_librarys_count(trained: Callable[[str], Path], name: str) -> None:
    path = TINY if name == "tiny" else trained(name)
    tokenizer = Tokenizer.from_file(str(path))
    pairs = read_byte_pairs(json.loads(path.read_text(encoding="utf-8")))
    assert pairs is not None

    @settings(max_examples=300, deadline=None)
    @given(
        piece=ANY_TEXT.map(lambda text: text.replace("<|im_start|>", "").replace("<|pad|>", "").replace("<call>", ""))
    )
    def check(piece: str) -> None:
        data = np.frombuffer(piece.encode() + b" ", np.uint8)
        counted = int(pairs.count(data, np.array([[0, len(data) - 1]]))[0])
        assert counted in (NOT_COUNTED, len(tokenizer.encode(piece, add_special_tokens=False).ids))

    check()
    plain = b' words(and"marks'
    assert pairs.count(np.frombuffer(plain, np.uint8), np.array([[0, len(plain)]]))[0] != NOT_COUNTED


def test_an_added_token_inside_a_text_is_one_token(counter: TokenCounter) -> None:
    texts = ["plain words"] * 500
    texts[123] = "a <|im_start|>user<|im_end|> b"  # not among the texts that are tested
    assert counter.count(pl.Series(texts)).to_list() == by_library(texts)


def test_a_token_that_no_merge_leads_to_counts_as_one_where_merges_are_ignored(
    trained: Callable[[str], Path], tmp_path: Path
) -> None:
    written = json.loads(trained("llama3").read_text(encoding="utf-8"))
    written["model"]["vocab"]["Ġzqxzqx"] = 5_000
    for ignores in (True, False):
        written["model"]["ignore_merges"] = ignores
        path = tmp_path / f"{ignores}.json"
        path.write_text(json.dumps(written), encoding="utf-8")
        texts = [" zqxzqx", " zqxzqxz zqxzqx"]
        counted = TokenCounter(path)
        assert counted.count(pl.Series(texts)).to_list() == by_library(texts, path)
        assert (by_library(texts, path)[0] == 1) == ignores
        assert counted._byte_pairs is not None


def test_when_the_library_disagrees_about_a_piece_it_counts_all_of_them_for_good(
    trained: Callable[[str], Path],
) -> None:
    counter = TokenCounter(TINY)
    counter._byte_pairs = read_byte_pairs(json.loads(trained("gpt2").read_text(encoding="utf-8")))  # of another
    texts = [f"considerably different {word} tokenization" for word in ("import", "returning", "exceptions")]
    assert counter.count(pl.Series(texts)).to_list() == by_library(texts)
    assert counter._byte_pairs is None


def test_a_length_that_the_tokenizer_truncates_to_is_not_heeded(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(TINY))
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=5)
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    texts = ["one", "one two three four five six seven eight"]
    assert TokenCounter(path).count(pl.Series(texts)).to_list() == by_library(texts)


def test_two_digits_that_are_one_token_are_not_cut(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = CUTS["gpt2"]
    trainer = trainers.BpeTrainer(vocab_size=258, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(["97 97 97"], trainer)
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    texts = ["2026112108"] * 500
    texts[123] = "in 1997"
    assert TokenCounter(path).count(pl.Series(texts)).to_list() == by_library(texts, path)


def test_pieces_that_were_seen_are_remembered_and_more_than_the_table_holds_are_counted() -> None:
    counter = TokenCounter(TINY)
    texts = [f"word{letter}{number} x{number * 7}y" for number in range(9_000) for letter in "abcd"]
    first = counter.count(pl.Series(texts)).to_list()
    assert first == counter.count(pl.Series(texts)).to_list()
    assert first[:200] == by_library(texts[:200])


def test_a_tokenizer_whose_words_cannot_be_counted_apart_is_asked_for_whole_texts(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(["of the people by the people"] * 50, trainers.BpeTrainer(vocab_size=60))
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    texts = ["of the people", "by the people of the people"] * 3
    assert TokenCounter(path).count(pl.Series(texts)).to_list() == by_library(texts, path)
    assert by_library(texts, path)[0] < sum(by_library(["of", " the", " people"], path))


def test_a_missing_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="FT_ASSETS_TOKENIZER"):
        TokenCounter(tmp_path / "tokenizer.json")
