import json
import shutil
from pathlib import Path

import pytest

from ft_assets.chat import Chat
from ft_assets.training.preflight_template import template_problems
from ft_assets_tests.training.samples import BASE, needs_base

pytestmark = [pytest.mark.torch, needs_base]
TEMPLATE = (BASE / "chat_template.jinja").read_text() if (BASE / "chat_template.jinja").exists() else ""


def base_with(folder: Path, template: str = TEMPLATE, config: dict | None = None, **tokenizer: object) -> Chat:
    """The tiny base's tokenizer with another template, tokenizer setting or model type."""
    shutil.copy(BASE / "tokenizer.json", folder)
    settings = json.loads((BASE / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, **tokenizer}))
    (folder / "chat_template.jinja").write_text(template)
    (folder / "config.json").write_text(json.dumps(config or {"model_type": "llama"}))
    return Chat(folder)


def codes(chat: Chat) -> list[str]:
    return [problem.code for problem in template_problems(chat)]


def test_the_tiny_base_has_nothing_against_it():
    assert codes(Chat(BASE)) == []


def test_a_template_beside_the_tokenizers_own_is_refused_when_they_differ(tmp_path):
    assert codes(base_with(tmp_path, chat_template=TEMPLATE)) == []
    assert codes(base_with(tmp_path, chat_template=TEMPLATE + "{# changed #}")) == ["chat_template_differs"]


def test_a_template_without_a_generation_prompt_is_refused(tmp_path):
    silent = TEMPLATE[: TEMPLATE.index("{% if add_generation_prompt")]
    assert "no_generation_prompt" in codes(base_with(tmp_path, silent))


def test_a_template_that_needs_no_generation_prompt_is_none_to_refuse(tmp_path):
    """As Mistral's: what ends the question begins the answer."""
    template = (
        "{% for m in messages %}{% if m.role == 'assistant' %}{{ ' ' + m.content + '<|im_end|>' }}"
        "{% else %}{{ '[INST] ' + m.content + ' [/INST]' }}{% endif %}{% endfor %}"
    )
    assert codes(base_with(tmp_path, template)) == []


def test_an_end_that_generation_does_not_stop_at_is_refused(tmp_path):
    (problem,) = template_problems(base_with(tmp_path, eos_token="<|endoftext|>"))
    assert problem.code == "end_token_is_not_eos"
    assert "<|im_end|> as eos_token" in problem.message


def test_a_template_that_writes_the_date_of_the_day_is_told(tmp_path):
    (problem,) = template_problems(base_with(tmp_path, "{{ strftime_now('%d') }}" + TEMPLATE))
    assert (problem.code, problem.refuses) == ("chat_template_reads_the_clock", False)


def test_a_model_whose_packed_rows_would_read_each_other_is_refused(tmp_path):
    assert codes(base_with(tmp_path, config={"model_type": "mamba2"})) == ["packing_not_isolated"]
