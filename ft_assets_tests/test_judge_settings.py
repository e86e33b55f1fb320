"""The judge in the environment and in the rules: what is refused, and what a refusal never shows."""

import pytest
from pydantic import ValidationError

from ft_assets.errors import BadConfiguration
from ft_assets.judge_rules import JudgeRules
from ft_assets.settings import read_settings

URL, MODEL, KEY = "FT_ASSETS_JUDGE_URL", "FT_ASSETS_JUDGE_MODEL", "FT_ASSETS_JUDGE_API_KEY"


def test_a_judge_is_an_endpoint_a_model_and_a_key_that_is_never_printed() -> None:
    settings = read_settings({URL: "http://judge:8000/v1", MODEL: "m", KEY: "sk-secret"})
    assert (settings.judge_url, settings.judge_model, settings.judge_api_key) == (
        "http://judge:8000/v1",
        "m",
        "sk-secret",
    )
    assert "sk-secret" not in repr(settings)
    assert read_settings({URL: " ", MODEL: "m"}).judge_url is None


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({URL: "http://judge/v1"}, "FT_ASSETS_JUDGE_MODEL is not; name the model"),
        ({URL: "judge:8000/v1", MODEL: "m"}, "no API root"),
        ({URL: "http://judge/v1?key=sk-secret", MODEL: "m"}, "no API root"),
        ({URL: "https://user:sk-secret@judge/v1", MODEL: "m"}, "put the key into FT_ASSETS_JUDGE_API_KEY"),
        ({URL: "http://judge/v1", MODEL: "m", KEY: "sk-secret\nx"}, "no HTTP header can hold"),
    ],
)
def test_a_judge_that_cannot_work_is_refused_without_its_secrets(environ: dict[str, str], said: str) -> None:
    with pytest.raises(BadConfiguration, match=said) as refused:
        read_settings(environ)
    assert "sk-secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"parameters": {"temperature": 1}}, "every request sets itself"),
        ({"most_dollars": 5}, "needs dollars_per_million_tokens"),
        ({"fraction": 1.5}, "less than or equal to 1"),
        ({"most_item": 5}, "Extra inputs"),
    ],
)
def test_rules_that_break_a_promise_are_refused(rules: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        JudgeRules.model_validate(rules)
