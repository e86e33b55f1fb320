import random
from pathlib import Path

import pytest

from ft_assets.chat import Chat
from ft_assets.errors import BadInput
from ft_assets.training.packed_rows import packed, tokenised
from ft_assets.training.token_store import packed_once, stored, token_batches, token_rows
from ft_assets_tests.training.samples import BASE, commit_rows, needs_base, row

pytestmark = [pytest.mark.torch, needs_base]
ROWS = sorted(commit_rows(1_200, 1), key=lambda each: each.example_id)  # more than one batch of the packer


@pytest.fixture(scope="module")
def chat() -> Chat:
    return Chat(BASE)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokens")


def files(root: Path) -> list[tuple[Path, int]]:
    return sorted((path, path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file())


def test_packed_rows_are_those_that_packing_in_memory_gives_in_the_same_order(chat, root):
    from_disk = packed_once(ROWS, "train", chat, "Be brief.", 256, root)
    in_memory = packed(tokenised(ROWS, "train", chat, "Be brief.", 256), 256)
    for column in ("input_ids", "labels", "seq_lengths"):
        assert from_disk[column][:] == in_memory[column][:]
    assert sorted(from_disk.column_names) == sorted(in_memory.column_names)


def test_the_order_of_the_rows_that_came_in_changes_nothing(chat, root):
    packed_once(ROWS, "train", chat, "Be brief.", 256, root)
    before = files(root)
    packed_once(random.Random(0).sample(ROWS, len(ROWS)), "train", chat, "Be brief.", 256, root)
    assert files(root) == before


def test_rows_are_tokenised_once_whatever_the_recipe_and_packed_once_for_each_length(chat, root):
    packed_once(ROWS, "train", chat, "Be brief.", 256, root)
    before = files(root)
    packed_once(ROWS, "train", chat, "Be brief.", 128, root)
    new = [path.name for path, _ in set(files(root)) - set(before)]
    assert sorted(new) == ["manifest.json", "packed.arrow"]
    packed_once(ROWS, "train", chat, "Be brief.", 128, root)
    assert len(files(root)) == len(before) + 2


def test_another_prompt_another_row_or_another_turn_is_another_entry(chat, tmp_path):
    few = ROWS[:3]
    ways = [
        token_rows(few, chat, None, tmp_path),
        token_rows(few, chat, "Be brief.", tmp_path),
        token_rows(few, chat, {"default": None, "by_role": {"qa-engineer": "Be brief."}}, tmp_path),
        token_rows(few[:2], chat, None, tmp_path),
        token_rows([*few[:2], row(few[2].example_id, ("user", "a"), ("assistant", "b"))], chat, None, tmp_path),
    ]
    assert ways[2] == ways[0], "nothing of a prompt that no row gets"
    assert len(set(ways)) == 4


def test_the_rows_that_are_read_back_are_mapped_and_hold_every_token_and_label(chat, tmp_path):
    (tokens,) = token_batches(token_rows(ROWS[:20], chat, None, tmp_path))
    expected = tokenised(ROWS[:20], "train", chat, None, 256)
    assert tokens.names == [each.example_id for each in ROWS[:20]]
    for i, each in enumerate(expected):
        begin, end = tokens.bounds[i], tokens.bounds[i + 1]
        assert tokens.ids[begin:end].tolist() == each["input_ids"]
        assert tokens.labels[begin:end].tolist() == each["labels"]
    assert tokens.learned.tolist() == [sum(label != -100 for label in each["labels"]) for each in expected]


def test_what_is_too_long_mute_absent_or_unreadable_is_named(chat, tmp_path):
    few = ROWS[:2]
    long, mute = row("long", ("user", "word " * 300), ("assistant", "yes")), row("mute", ("user", "anybody there?"))
    for rows, told in (
        ([*few, long], r"1 of 3 train rows .*max_length 256: long \(3\d\d tokens\)"),
        ([*few, mute], "mute"),
        ([], "the train side has no rows"),
        ([row("blank")], "row blank: a conversation without messages"),
    ):
        with pytest.raises(BadInput, match=told):
            packed_once(rows, "train", chat, None, 256, tmp_path)


def test_an_entry_that_was_cut_off_or_damaged_is_made_again(tmp_path):
    def write(folder: Path) -> None:
        (folder / "file").write_text("whole")

    place = stored(tmp_path, "key", write)
    for harm in (lambda: (place / "file").write_text("hurt!"), lambda: (place / "manifest.json").unlink()):
        harm()
        assert (stored(tmp_path, "key", write) / "file").read_text() == "whole"
    with pytest.raises(ZeroDivisionError):
        stored(tmp_path, "other", lambda folder: (folder / "file").write_text("half") / 0)
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
