import logging
import re

import pytest

from ft_assets.specializations.loader import load_specializations
from ft_assets_tests.specializations.samples import LINE, ROOT, refusal, with_line

OLDER = LINE.replace(
    "base_model: tiny-base\n",
    "finetuning: {enabled: false, threshold: 40, base_model: tiny-base, num_epochs: 4, lr: 1e-4}\n",
)


def test_a_line_may_hold_its_training_in_an_older_form(tmp_path):
    (tmp_path / "qa-engineer.yaml").write_text(OLDER)
    spec = load_specializations(tmp_path, ROOT)["qa-engineer"]
    assert (spec.enabled, spec.trigger.new_examples, spec.base_model) == (False, 40, "tiny-base")
    assert (spec.recipe.num_train_epochs, spec.recipe.learning_rate) == (4, 1e-4)


def test_the_old_keys_that_were_read_are_told_with_the_file(tmp_path, caplog):
    (tmp_path / "qa-engineer.yaml").write_text(OLDER)
    with caplog.at_level(logging.WARNING):
        load_specializations(tmp_path, ROOT)
    assert "qa-engineer.yaml: finetuning is an older form" in caplog.text
    assert "finetuning.num_epochs is read as recipe.num_train_epochs" in caplog.text


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (
            "fine_tuning:\n  training:\n    lr: fast\n",
            r":8: recipe\.learning_rate: found 'fast' \(text\), allowed: a number",
        ),
        ("fine_tuning:\n  training:\n    epochs: 9\n", r":6: recipe: num_train_epochs is 9, allowed 1 to 5"),
        ("fine_tuning:\n  training:\n    colour: red\n", r":8: fine_tuning\.training\.colour: unknown key"),
        ("fine_tuning: {}\nfinetuning: {}\n", r":7: found fine_tuning and finetuning, allowed: one of"),
        (
            "finetuning: {base_model: tiny-base}\n",
            r":5: base_model: written in the line and under finetuning; keep one",
        ),
    ],
)
def test_a_mistake_in_an_older_form_is_named_with_the_line_where_it_stands(tmp_path, extra, told):
    message = refusal(with_line(tmp_path, extra))
    assert re.search(r"  - qa-engineer\.yaml" + told, message), message
