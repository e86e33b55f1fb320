import os
import subprocess
import sys
from pathlib import Path

import pytest

from ft_assets.errors import MissingInput
from ft_assets.training.catalogue import resolve
from ft_assets.training.tokenizer_files import tokenizer_dir

ROOT = Path(__file__).resolve().parents[2]
PINNED = {"hub": "Qwen/Qwen2.5-0.5B-Instruct", "revision": "7" * 40}


def test_the_tokenizer_of_an_embedded_model_lies_where_the_model_lies(tmp_path: Path) -> None:
    assert tokenizer_dir(resolve("tiny-base"), ROOT, tmp_path) == ROOT / "data" / "tiny_base"


def test_a_directory_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"models/mine holds no tokenizer_config\.json"):
        tokenizer_dir(resolve({"path": "models/mine"}), tmp_path, tmp_path)


def test_what_was_fetched_from_the_hub_once_is_not_fetched_again(tmp_path: Path) -> None:
    kept = tmp_path / "tokenizers" / f"Qwen--Qwen2.5-0.5B-Instruct--{'7' * 40}"
    kept.mkdir(parents=True)
    (kept / "tokenizer_config.json").write_text("{}")
    assert tokenizer_dir(resolve(PINNED), ROOT, tmp_path) == kept


def test_a_hub_that_cannot_be_reached_is_a_missing_input_and_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from ft_assets.training.catalogue import resolve\n"
        "from ft_assets.training.tokenizer_files import tokenizer_dir\n"
        f"tokenizer_dir(resolve({PINNED!r}), Path('.'), Path({str(tmp_path)!r}))\n"
    )
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:1", "HF_HUB_DOWNLOAD_TIMEOUT": "1", "HF_HUB_ETAG_TIMEOUT": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **nowhere},
        check=False,
    )
    assert "MissingInput: the tokenizer of Qwen/Qwen2.5-0.5B-Instruct" in ran.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
