"""The image cannot be built here. What is known without Docker: its words, the files that it takes, its packages."""

import json
import re
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from ft_assets.settings import PROJECT_ROOT
from ft_assets_tests.kubernetes.checkov_scan import failed_checks
from ft_assets_tests.kubernetes.helm_chart import launcher, servers, values
from ft_assets_tests.kubernetes.manifest_files import K8S

DOCKERFILE = K8S / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """Name and words of each instruction, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(name, words) for name, _, words in (line.partition(" ") for line in lines if line.strip())]


def words_of(name: str) -> list[str]:
    """The words of every instruction of that name."""
    return [words for found, words in instructions() if found == name]


def copied() -> list[str]:
    """What the image takes from the project."""
    return [source for words in words_of("COPY") for source in words.split()[:-1]]


def variables() -> dict[str, str]:
    """The environment of the image."""
    return dict(pair.split("=", 1) for words in words_of("ENV") for pair in words.split())


def test_every_file_that_the_image_takes_is_there_and_let_into_the_build() -> None:
    let_in = [line[1:] for line in (PROJECT_ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert copied()
    for path in copied():
        assert (PROJECT_ROOT / path).exists(), path
        assert any(path == each or path.startswith(f"{each}/") for each in let_in), path
    assert sorted(let_in) == sorted(copied()), "nothing else is sent to the builder"


def test_the_image_holds_every_file_that_the_project_reads_beside_its_code() -> None:
    named = set()
    for line in (PROJECT_ROOT / "ft_assets" / "specializations").glob("*.yaml"):
        named |= set(re.findall(r"data/[\w./-]+", line.read_text()))
    for source in (PROJECT_ROOT / "ft_assets").rglob("*.py"):
        named |= set(re.findall(r'"(data/[\w./-]+)"', source.read_text()))
    named = {path for path in named if not path.endswith("README.md")}
    assert "data/tiny_base/tokenizer.json" in named
    assert not [path for path in named if not any(fnmatch(path, f"{each}*") for each in copied())]


def test_pip_takes_our_extras_at_the_tested_versions_and_the_code_last() -> None:
    steps = [words for name, words in instructions() if name == "RUN" and "pip install" in words]
    extras = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    torch, dependencies, project = steps
    (named,) = re.findall(r'"\.\[([\w,-]+)\]"', dependencies)
    assert set(named.split(",")) == {"train", "ui", "cluster", "s3-logs"} <= set(extras)
    assert "--constraint constraints.txt" in torch
    assert "--constraint constraints.txt" in dependencies
    assert "--no-deps --editable ." in project
    assert all("--no-cache-dir" in step for step in steps)
    order = [words for name, words in instructions() if name in ("COPY", "RUN")]
    assert order.index("constraints.txt ./") < order.index(torch) < order.index("pyproject.toml ./")
    assert order.index(dependencies) < order.index("ft_assets ./ft_assets") < order.index(project)


def test_there_is_a_variant_for_cpu_and_one_for_cuda_and_no_third(tmp_path: Path) -> None:
    assert words_of("ARG") == ["VARIANT=cuda", 'CPU_INDEX=""']
    (step,) = [words for words in words_of("RUN") if "VARIANT" in words]
    said = {}
    (tmp_path / "pip").write_text("#!/bin/sh\necho pip $@\n")
    (tmp_path / "pip").chmod(0o755)
    for variant in ("cpu", "cuda", "gpu"):
        environ = {
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "VARIANT": variant,
            "CPU_INDEX": "https://index.example.com/cpu",
        }
        done = subprocess.run(["sh", "-ec", step], env=environ, capture_output=True, text=True)
        said[variant] = (done.returncode, "index.example.com/cpu" in done.stdout, "torch" in done.stdout)
    assert said == {"cpu": (0, True, True), "cuda": (0, False, True), "gpu": (1, False, False)}
    without = {"PATH": f"{tmp_path}:/usr/bin:/bin", "VARIANT": "cpu"}
    done = subprocess.run(["sh", "-ec", step], env=without, capture_output=True, text=True)
    assert done.returncode == 1 and "needs CPU_INDEX" in done.stderr


def test_nobody_is_root_and_the_number_is_the_one_that_pods_ask_for() -> None:
    (user,) = words_of("USER")
    number, _, group = user.partition(":")
    assert number.isdigit()
    assert int(number) == int(group) >= 10000
    assert instructions()[-1][0] == "CMD"
    for server in servers(values("values.yaml")).values():
        assert server["podSecurityContext"]["runAsUser"] == int(number)
    pod = launcher(values("values.yaml"))["config"]["run_k8s_config"]["pod_spec_config"]
    assert pod["security_context"]["run_as_user"] == int(number)


def test_what_is_written_at_run_time_goes_where_a_volume_is() -> None:
    found = variables()
    places = ("HOME", "TMPDIR", "HF_HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "FT_ASSETS_CACHE")
    assert {name: found[name].split("/")[1] for name in places} == dict.fromkeys(places, "tmp")
    assert found["DAGSTER_HOME"] == values("values.yaml")["global"]["dagsterHome"]


def test_it_phones_home_no_more_than_make_does() -> None:
    exported = re.findall(r"^export (\w+) [:?]?= (\S+)$", (PROJECT_ROOT / "Makefile").read_text(), re.MULTILINE)
    wanted = {name: value for name, value in exported if "$" not in value}
    assert {"DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY"} <= set(wanted)
    assert wanted.items() <= variables().items()


def test_the_library_that_locks_the_sandbox_is_installed_and_lists_of_packages_are_not_kept() -> None:
    (apt,) = [words for words in words_of("RUN") if "apt-get" in words]
    assert "--no-install-recommends libseccomp2" in apt
    assert "rm -rf /var/lib/apt/lists/*" in apt


def test_the_base_image_has_the_oldest_python_that_the_project_runs_on_or_a_newer_one() -> None:
    (image,) = words_of("FROM")
    found = re.fullmatch(r"python:(\d+)\.(\d+)-slim-\w+", image)
    assert found is not None
    assert (int(found[1]), int(found[2])) >= (3, 11)
    assert json.loads(words_of("CMD")[0]) == ["ft-assets", "--help"]


@pytest.mark.slow
def test_checkov_finds_nothing_but_the_argued_exceptions() -> None:
    assert failed_checks("dockerfile", DOCKERFILE) == []
