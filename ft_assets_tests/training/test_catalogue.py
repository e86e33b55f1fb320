import pytest

from ft_assets.errors import BadConfiguration
from ft_assets.training.catalogue import CATALOGUE, resolve

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_the_tiny_base_is_embedded_and_needs_nothing():
    spec = resolve("tiny-base")
    assert (spec.source, spec.path) == ("embedded", "data/tiny_base")


@pytest.mark.parametrize("name", ["gpt-4", "gpt-4-0125-preview", "claude-3-opus", "gemini-1.5-pro", "o1-mini"])
def test_a_model_behind_an_api_is_refused_by_name(name):
    with pytest.raises(BadConfiguration, match="Only open-weight base models work") as refused:
        resolve(name)
    assert name in str(refused.value)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(BadConfiguration, match=r"tiny-base, .*mistral-7b"):
        resolve("mistral-70b")


@pytest.mark.parametrize("name", [spec.id for spec in CATALOGUE.values() if spec.source == "hub"])
def test_a_hub_entry_without_a_pinned_revision_says_how_to_pin_it(name):
    with pytest.raises(BadConfiguration, match="revision: <40 hex digits>") as refused:
        resolve(name)
    assert str(CATALOGUE[name].hub_id) in str(refused.value)


@pytest.mark.parametrize("revision", ["main", "v1.0", "0123456", None])
def test_a_revision_that_can_move_is_refused(revision):
    with pytest.raises(BadConfiguration, match="whole commit id"):
        resolve({"hub": "someone/some-model", "revision": revision})


def test_a_pinned_hub_model_brings_what_the_catalogue_knows_about_it():
    spec = resolve({"hub": "mistralai/Mistral-7B-Instruct-v0.3", "revision": COMMIT})
    assert (spec.id, spec.licence, spec.revision) == ("mistral-7b", "Apache-2.0", COMMIT)


def test_any_pinned_hub_model_and_any_directory_can_be_named():
    assert resolve({"hub": "someone/Some-Model", "revision": COMMIT}).id == "some-model"
    assert resolve({"path": "models/Mine"}).source == "path"


@pytest.mark.parametrize("base", [{}, {"pth": "x"}, {"path": "x", "hub": "y/z"}, {"path": "x", "speed": 3}])
def test_a_mapping_that_names_no_single_place_is_refused_with_what_is_allowed(base):
    with pytest.raises(BadConfiguration, match="path: <directory>"):
        resolve(base)


def test_every_entry_states_its_licence_size_architecture_and_context():
    for spec in CATALOGUE.values():
        assert spec.licence != "unknown"
        assert spec.parameters
        assert spec.architecture
        assert spec.context_length
