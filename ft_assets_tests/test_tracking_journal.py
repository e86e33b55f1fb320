import resource
import subprocess
import sys
from pathlib import Path

from ft_assets.tracking_journal import Journal, parsed, taken


def entry(step: int) -> dict:
    return {"step": step, "at_ms": 1, "metrics": {"loss": 1 / (step + 1)}}


def test_a_line_is_in_the_file_when_write_returns(tmp_path: Path) -> None:
    written = (
        "import os, sys; from pathlib import Path; from ft_assets.tracking_journal import Journal;"
        "journal = Journal(Path(sys.argv[1]));"
        "[journal.write({'step': i, 'at_ms': 1, 'metrics': {'loss': 1.0}}) for i in range(50)];"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", written, str(tmp_path / "spool" / "a.jsonl")])
    abandoned = taken(tmp_path / "spool" / "a.jsonl")
    assert abandoned is not None
    record = abandoned.record()
    assert [found["step"] for found in record.entries] == list(range(50))
    assert record.end is None


def test_a_journal_is_not_taken_while_its_process_lives(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.jsonl")
    journal.write(entry(1))
    assert taken(journal.path) is None
    journal.close()
    abandoned = taken(journal.path)
    assert abandoned is not None
    assert taken(journal.path) is None  # one deliverer at a time
    abandoned.discard()
    assert taken(journal.path) is None


def test_lines_wait_in_memory_while_the_disk_is_full(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.jsonl")
    journal.write(entry(0))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.path.stat().st_size + 20, before[1]))
    try:
        for step in range(1, 5):
            journal.write(entry(step))
        assert len(journal.path.read_text().splitlines()) == 1  # the part of a line that fitted was taken back
        assert [found["step"] for found in journal.record().entries] == [0, 1, 2, 3, 4]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    journal.write(entry(5))
    assert [found["step"] for found in parsed(journal.path.read_bytes()).entries] == [0, 1, 2, 3, 4, 5]


def test_a_place_that_cannot_be_written_raises_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    journal = Journal(tmp_path / "file" / "a.jsonl")
    journal.write(entry(1))
    assert len(journal._unwritten) == 1


def test_what_a_power_cut_left_is_skipped() -> None:
    record = parsed(b'{"key": "k"}\n{"step": 1, "at_ms": 1, "metrics": {}}\n{"step": 2, "at\n[3]\n\xff\xfe\n')
    assert record.header == {"key": "k"}
    assert [found["step"] for found in record.entries] == [1]
