import json
from pathlib import Path

import pytest

from ft_assets.errors import BadConfiguration
from ft_assets.lake import Artifact, Lake
from ft_assets.release.registration import register_version
from ft_assets.state import State
from ft_assets.state_registry import Registered, registrations

LINE = "qa-engineer"


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(f"sqlite:///{tmp_path / 'state.db'}")


def adapter(tmp_path: Path, weights: str) -> Artifact:
    folder = tmp_path / f"adapter-{weights}"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_text(weights)
    origin = {"snapshot": f"snapshot of {weights}", "base_digest": "base", "recipe_digest": "recipe"}
    (folder / "provenance.json").write_text(json.dumps(origin))
    return Lake(str(tmp_path / "lake")).put_artifact("adapter", folder)


def registered(state: State, made: Artifact, series: int = 1, launched_by: str = "ada") -> Registered:
    return register_version(state, LINE, "hybrid", "mistral-7b", series, made, launched_by, [LINE, "qa"])


def test_versions_rise_and_carry_what_they_were_made_from(state: State, tmp_path: Path):
    one, two = (registered(state, adapter(tmp_path, weights)) for weights in ("one", "two"))
    assert (one.number, two.number) == (1, 2)
    assert one.version_name == f"ea-qa-engineer-mistral-7b-v1.0-{one.at:%Y%m%d}"
    assert two.version_name == f"ea-qa-engineer-mistral-7b-v1.1-{two.at:%Y%m%d}"
    assert (one.type, one.snapshot, one.base_digest, one.recipe_digest) == (
        "hybrid",
        "snapshot of one",
        "base",
        "recipe",
    )
    assert registrations(state) == [one, two]


def test_a_model_that_is_registered_again_stays_what_it_was(state: State, tmp_path: Path):
    made = adapter(tmp_path, "one")
    first = registered(state, made)
    assert registered(state, made, series=3, launched_by="somebody else") == first
    assert registrations(state, LINE) == [first]


def test_who_launched_the_training_counts_and_not_who_registered(state: State, tmp_path: Path):
    made, other, unknown = (adapter(tmp_path, weights) for weights in ("one", "two", "three"))
    state.record_trained(LINE, "snapshot", "recipe", "base", made.digest, by="grace")
    assert registered(state, made).trained_by == "grace"
    assert registered(state, other).trained_by == "ada"
    assert registered(state, unknown, launched_by="").trained_by == "unknown"


def test_a_new_series_leads_and_an_older_one_is_refused(state: State, tmp_path: Path):
    registered(state, adapter(tmp_path, "one"))
    second = registered(state, adapter(tmp_path, "two"), series=2)
    assert "-v2.1-" in second.version_name
    with pytest.raises(BadConfiguration, match=r"version_series is 1, and ea-qa-engineer-mistral-7b-v2\.1"):
        registered(state, adapter(tmp_path, "three"))
    assert len(registrations(state, LINE)) == 2
