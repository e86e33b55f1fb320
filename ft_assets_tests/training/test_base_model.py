import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from ft_assets.errors import BadInput, MissingInput
from ft_assets.lake import directory_digest
from ft_assets.training.base_model import materialize_base, resolve

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A directory with everything that a base model needs, and two things that it does not."""
    folder = tmp_path / "project" / "models" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(
        json.dumps({"architectures": ["LlamaForCausalLM"], "max_position_embeddings": 64})
    )
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "</s>"}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    save_file({"a": np.zeros((3, 4), np.float32), "b": np.zeros(5, np.float32)}, folder / "model.safetensors")
    (folder / "README.md").write_text("a card")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle beside the safetensors is left behind")
    return folder


def by_path(tmp_path: Path, out: str = "out") -> dict:
    return materialize_base(resolve({"path": "models/mine"}), tmp_path / out, tmp_path / "project")


def test_a_path_gives_only_the_files_that_are_needed_and_says_what_it_found(model, tmp_path):
    facts = by_path(tmp_path)
    assert facts["files"] == [
        *("chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    ]
    assert (facts["parameters"], facts["architecture"], facts["context_length"]) == (17, "LlamaForCausalLM", 64)
    assert facts["digest"] == directory_digest(tmp_path / "out")


def test_the_same_model_has_the_same_digest_again(model, tmp_path):
    assert by_path(tmp_path)["digest"] == by_path(tmp_path, "again")["digest"]


def test_a_directory_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(MissingInput, match="models/mine"):
        by_path(tmp_path)


def test_pickled_weights_alone_are_refused(model, tmp_path):
    (model / "model.safetensors").unlink()
    with pytest.raises(BadInput, match="only pickled weights"):
        by_path(tmp_path)


def test_a_missing_shard_is_named(model, tmp_path):
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(BadInput, match=r"lacks model-1\.safetensors"):
        by_path(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_model_that_wants_to_run_its_own_code_is_refused(model, tmp_path, name):
    content = json.loads((model / name).read_text())
    (model / name).write_text(json.dumps({**content, "auto_map": {"AutoModelForCausalLM": "evil.Model"}}))
    with pytest.raises(BadInput, match="auto_map"):
        by_path(tmp_path)


def test_a_model_without_a_chat_template_is_refused(model, tmp_path):
    (model / "chat_template.jinja").unlink()
    with pytest.raises(BadInput, match="no chat template"):
        by_path(tmp_path)


def test_the_embedded_model_is_compared_with_the_digest_that_was_shipped(model, tmp_path):
    digest = by_path(tmp_path)["digest"]
    model.rename(tmp_path / "project" / "data_tiny_base")
    (tmp_path / "project" / "data").mkdir()
    shipped = (tmp_path / "project" / "data_tiny_base").rename(tmp_path / "project" / "data" / "tiny_base")
    (shipped / "digest.txt").write_text(digest + "\n")
    facts = materialize_base(resolve("tiny-base"), tmp_path / "intact", tmp_path / "project")
    assert facts["digest"] == digest
    (shipped / "tokenizer.json").write_text("{ }")
    with pytest.raises(BadInput, match="a file was changed"):
        materialize_base(resolve("tiny-base"), tmp_path / "changed", tmp_path / "project")


FETCH = """
import sys
from pathlib import Path
from ft_assets.training.base_model import materialize_base, resolve
spec = resolve({"hub": "me/mine", "revision": sys.argv[1]})
try:
    facts = materialize_base(spec, Path(sys.argv[2]), Path("/"))
    print(",".join(facts["files"]), facts["digest"], facts["revision"])
except Exception as error:
    print(type(error).__name__, error)
"""


def fetch(endpoint: str, out: Path, revision: str = COMMIT, offline: str = "0") -> str:
    """What a process prints that downloads me/mine from `endpoint`; the hub client reads its endpoint at import."""
    environ = {
        **os.environ,
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(out.parent / "home"),
        "HF_HUB_OFFLINE": offline,
        "HF_HUB_DISABLE_XET": "1",
    }
    command = [sys.executable, "-c", FETCH, revision, str(out)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Hub(BaseHTTPRequestHandler):
    """The three calls of the hub that a download makes, for one model at one commit."""

    folder: Path

    def do_GET(self) -> None:
        self.answer()

    def do_HEAD(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = self.path.split("?")[0]
        names = sorted(p.name for p in self.folder.iterdir())
        if path == f"/api/models/me/mine/revision/{COMMIT}":
            self.reply(
                json.dumps({"id": "me/mine", "sha": COMMIT, "siblings": [{"rfilename": n} for n in names]}).encode()
            )
        elif path.startswith(f"/api/models/me/mine/tree/{COMMIT}"):
            tree = [{"type": "file", "oid": n, "path": n, "size": (self.folder / n).stat().st_size} for n in names]
            self.reply(json.dumps(tree).encode())
        elif path.startswith(f"/me/mine/resolve/{COMMIT}/") and path.rsplit("/", 1)[1] in names:
            self.reply((self.folder / path.rsplit("/", 1)[1]).read_bytes())
        else:
            self.reply(b"{}", 404, {"X-Error-Code": "RevisionNotFound"})

    def reply(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        sizes = {"Content-Length": str(len(body)), "ETag": f'"{abs(hash(body))}"', "X-Repo-Commit": COMMIT}
        for name, value in {**sizes, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(model: Path):
    handler = type("OneModelHub", (Hub,), {"folder": model})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.service
def test_a_pinned_hub_model_arrives_without_pickles_and_with_the_digest_of_its_files(hub, model, tmp_path):
    files, digest, revision = fetch(hub, tmp_path / "out").split()
    assert files.split(",") == by_path(tmp_path, "local")["files"]
    assert (digest, revision) == (by_path(tmp_path, "local2")["digest"], COMMIT)


@pytest.mark.service
def test_a_commit_the_hub_does_not_have_is_a_configuration_error(hub, tmp_path):
    assert fetch(hub, tmp_path / "out", "f" * 40).startswith("BadConfiguration the hub has no me/mine")


@pytest.mark.service
def test_a_hub_that_cannot_be_reached_may_be_tried_again(tmp_path):
    said = fetch("http://127.0.0.1:9", tmp_path / "out", offline="1")  # online the hub's client tries for 24 s
    assert said.startswith("Rerunnable me/mine could not be downloaded")
