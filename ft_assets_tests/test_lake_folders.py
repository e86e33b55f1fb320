import shutil
import threading
from pathlib import Path

from ft_assets.lake_folders import LocalFolders, files_below


def test_a_folder_that_goes_while_it_is_looked_at_holds_nothing(tmp_path: Path) -> None:
    folders, done = LocalFolders(tmp_path), threading.Event()

    def come_and_go() -> None:
        while not done.is_set():
            (tmp_path / "all" / "one").mkdir(parents=True)
            shutil.rmtree(tmp_path / "all")

    mover = threading.Thread(target=come_and_go)
    mover.start()
    try:
        for _ in range(3_000):
            assert list(files_below(folders, "all")) == []
    finally:
        done.set()
        mover.join()
