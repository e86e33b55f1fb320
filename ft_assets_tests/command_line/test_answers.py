"""What the command line says about models, against a lake and a state database as the assets leave them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ft_assets.answers.trained_rows import interactions_of, trained_rows
from ft_assets.dataset.rows import read_side
from ft_assets.errors import BadInput
from ft_assets.lake import Lake
from ft_assets.state_registry import registrations
from ft_assets.state_taints import taint
from ft_assets_tests.command_line.conftest import Ask
from ft_assets_tests.command_line.installation import CAREFUL, LINE, Installation

pytestmark = pytest.mark.slow
AskJson = Callable[..., Any]


def names_of(installation: Installation) -> list[str]:
    return [version.version_name for version in registrations(installation.state, LINE)]


def digests_of(installation: Installation) -> list[str]:
    return [version.model_digest for version in registrations(installation.state, LINE)]


def flip_a_byte(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


# ---- why -------------------------------------------------------------------------------------------------------------
def test_why_tells_everything_an_auditor_asks(installation: Installation, ask: Ask):
    told = ask("why", f"{LINE}@champion").stdout
    first, second = names_of(installation)
    assert told.startswith(second)
    for expected in (
        "launched by  Grace Hopper",
        "whole, every byte verified",
        "aliases      candidate, champion",
        f"snapshot    {installation.state.last_trained(LINE).snapshot}",
        "examples from",
        "tiny-base (bbbbbbbbbbbb)",
        "learning_rate",
        "promote: ",
        "exact_match, golden set",
        f"champion: {first}",
        f"promotion 2: {second} over {first}",
        "It is the champion.",
        "training: 61.5 s, 0.0 GPU seconds, 4,321 tokens, 0.0200 $",
    ):
        assert expected in told, expected
    assert " % [" in told, "figures stand with their intervals"


def test_why_says_when_a_champion_fell_and_by_what(installation: Installation, ask: Ask):
    assert "It fell " in ask("why", f"{LINE}@previous").stdout


def test_why_as_json_holds_the_same(installation: Installation, ask_json: AskJson):
    answer = ask_json("why", names_of(installation)[1])
    rows = read_side(installation.lake.artifact("snapshot", answer["provenance"]["snapshot"]).path, "train")
    assert answer["digest"] == digests_of(installation)[1]
    assert answer["rows"]["train"]["examples"] == [len(rows), len(interactions_of_rows(rows))]
    assert answer["reigns"][0]["promotion"]["number"] == 2
    assert answer["report"]["outcome"] == "promote"


def interactions_of_rows(rows: Any) -> list[str]:
    return sorted({name for row in rows for name in row.interaction_ids})


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "provenance.json", "manifest.json"])
def test_a_flipped_byte_under_a_registered_model_is_told_and_nothing_is_made_of_it(
    installation: Installation, ask: Ask, file: str
):
    flip_a_byte(installation.lake.artifact("adapter", digests_of(installation)[1]).path / file)
    told = ask("why", f"{LINE}@champion", exit_code=1).stdout
    assert "DAMAGED" in told and file in told
    assert "promotion 2" in told, "what the state database knows is still told"
    assert file in ask("rows", f"{LINE}@champion", exit_code=1).stderr
    assert file in ask("promote", f"{LINE}@champion", "--by", "Ada", "--why", "good", exit_code=1).stderr


def test_a_report_that_is_gone_is_told_and_the_rest_stays(installation: Installation, ask: Ask):
    champion = installation.state.champion(LINE)
    shutil.rmtree(installation.lake.artifact("report", champion.evidence).path)
    told = ask("why", f"{LINE}@champion").stdout
    assert "unreadable" in told and "examples from" in told


def test_a_tainted_champion_is_shown_as_such(installation: Installation, ask: Ask):
    taint(installation.state, [digests_of(installation)[1]], "rows of a forgotten user", "forget")
    assert "TAINTED" in ask("why", f"{LINE}@champion").stdout
    assert "champion is TAINTED  rows of a forgotten user" in ask("why-not", LINE).stdout


# ---- rows ------------------------------------------------------------------------------------------------------------
def test_rows_are_exactly_the_interactions_of_the_train_side(installation: Installation, ask: Ask):
    snapshot = installation.lake.artifact("snapshot", installation.state.last_trained(LINE).snapshot).path
    wanted = interactions_of_rows(read_side(snapshot, "train"))
    result = ask("rows", f"{LINE}@champion")
    assert result.stdout.splitlines() == wanted
    assert f"{len(wanted)} interactions" in result.stderr
    both = interactions_of_rows([*read_side(snapshot, "train"), *read_side(snapshot, "validation")])
    assert ask("rows", f"{LINE}@champion", "--validation").stdout.splitlines() == both


def test_rows_come_from_the_artifacts_alone(installation: Installation, tmp_path: Path):
    digest = digests_of(installation)[0]
    wanted = interactions_of(trained_rows(installation.lake, digest))
    for kind in ("adapter", "snapshot"):
        shutil.copytree(installation.folder / "lake" / "artifacts" / kind, tmp_path / "bare" / "artifacts" / kind)
    assert interactions_of(trained_rows(Lake(str(tmp_path / "bare")), digest)) == wanted


def test_a_received_row_that_the_snapshot_does_not_have_is_not_explained_away(
    installation: Installation, tmp_path: Path
):
    adapter = installation.lake.artifact("adapter", digests_of(installation)[0]).path
    shutil.copytree(adapter, tmp_path / "strange", ignore=shutil.ignore_patterns("manifest.json"))
    received = tmp_path / "strange" / "received.json"
    received.write_text(received.read_text().replace(f"{LINE}-001", "from-elsewhere"))
    strange = installation.lake.put_artifact("adapter", tmp_path / "strange")
    with pytest.raises(BadInput, match="from-elsewhere"):
        trained_rows(installation.lake, strange.digest)


# ---- diff ------------------------------------------------------------------------------------------------------------
def test_diff_names_rows_recipe_and_metrics_with_intervals(installation: Installation, ask: Ask, ask_json: AskJson):
    first, second = names_of(installation)
    found = ask_json("diff", first, second)
    added = {row["row_id"] for row in found["added"]}
    assert added and all(int(name.rsplit("-", 1)[1]) >= 150 for name in added)
    assert found["removed"] == []
    assert found["changed"]["recipe.r"] == [16, 32]
    assert set(found["changed"]) == {"recipe.r", "snapshot"}
    matches = next(each for each in found["compared"] if each["metric"] == "exact_match")
    assert matches["low"] < matches["estimate"] < matches["high"]
    told = ask("diff", first, second).stdout
    assert f"{len(added)} rows from" in told and "recipe.r  16 -> 32" in told
    assert "exact_match, golden set" in told and "points [" in told
    assert "perplexity, golden set         x " in told


def test_diff_is_the_other_way_round_the_other_way_round(installation: Installation, ask_json: AskJson):
    first, second = names_of(installation)
    there, back = ask_json("diff", first, second), ask_json("diff", second, first)
    assert back["removed"] == there["added"]
    assert [each["estimate"] for each in back["compared"] if each["unit"] != "ratio"] == pytest.approx(
        [-each["estimate"] for each in there["compared"] if each["unit"] != "ratio"]
    )


def test_a_model_and_itself_do_not_differ(ask: Ask):
    told = ask("diff", f"{LINE}@champion", f"{LINE}@champion").stdout
    assert "the same" in told and "added    none" in told


# ---- why-not ---------------------------------------------------------------------------------------------------------
def test_why_not_counts_what_is_new_and_what_was_left_out(installation: Installation, ask: Ask, ask_json: AskJson):
    installation.curate(LINE, "2026-03-03", 200, 40)
    found = ask_json("why-not", LINE)["retraining"]
    assert not found["due"] and 20 < found["new"] < 40 and found["threshold"] == 100
    assert found["left_out"]["rating too low"] == 10
    told = ask("why-not", LINE).stdout
    assert f"{LINE} {found['new']} of 100: " in told and "10 without a passing signal" in told
    assert "is the champion" in told
    installation.curate(LINE, "2026-03-03", 200, 200)
    assert ask_json("why-not", LINE)["retraining"]["due"]


def test_why_not_tells_the_reports_reasons(installation: Installation, ask: Ask, ask_json: AskJson):
    third = installation.train(LINE, "three")
    installation.evaluate(LINE, third, {"candidate": 0.62, "champion": 0.6, "base": 0.1})
    found = ask_json("why-not", LINE)["promotion"]
    assert not found["is_champion"] and found["report"]["outcome"] != "promote" and found["report"]["reasons"]
    assert "does not say promote" in ask("why-not", LINE).stdout


def test_why_not_names_a_champion_that_changed_meanwhile(installation: Installation, ask: Ask):
    first, second = names_of(installation)
    ask("rollback", LINE, "--by", "Ada", "--why", "slow")
    third = installation.train(LINE, "three")
    installation.evaluate(LINE, third, {"candidate": 0.95, "champion": 0.6, "base": 0.1})
    ask("promote", second, "--by", "Ada", "--why", "it was not the model")
    told = ask("why-not", LINE).stdout
    assert f"it was judged against {first}, and the champion is {second}" in told


def test_a_line_without_a_model_says_so(ask: Ask):
    told = ask("why-not", CAREFUL).stdout
    assert f"{CAREFUL} 0 of 100" in told and "no model of this line was registered yet" in told


# ---- names -----------------------------------------------------------------------------------------------------------
def test_a_model_goes_by_name_digest_and_alias(installation: Installation, ask_json: AskJson):
    for number, name in enumerate(names_of(installation)):
        digest = digests_of(installation)[number]
        alias = f"{LINE}@{('previous', 'champion')[number]}"
        assert {ask_json("why", how)["digest"] for how in (name, digest, digest[:8], alias)} == {digest}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ea-qa-engineer-tiny-base-v1.7-20260101", "Did you mean ea-qa-engineer-tiny-base-v1"),
        ("ffffffff", "The newest are ea-qa-engineer"),
        ("qa-enginer@champion", "Did you mean qa-engineer?"),
        ("qa-engineer@best", "no alias 'best'"),
        ("devops-engineer@champion", "No model of a specialization 'devops-engineer' is known"),
    ],
)
def test_a_name_that_nobody_has_is_answered_with_near_ones(ask: Ask, name: str, said: str):
    assert said in ask("why", name, exit_code=2).stderr


def test_a_digest_that_two_models_begin_with_is_ambiguous(installation: Installation, ask: Ask):
    for ending in ("0", "1"):
        installation.state.record_trained(LINE, "snapshot", "recipe", "base", f"{'abcd' * 15}000{ending}")
    said = ask("why", "abcdabcd", exit_code=2).stderr
    assert "could be 2 models" in said and f"{'abcd' * 4} abcdabcdabcd (not registered)" in said


def test_where_nothing_is_known_the_place_that_was_looked_at_is_told(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FT_ASSETS_STATE_URL", f"sqlite:///{tmp_path}/other.db")
    assert f"the state database sqlite:///{tmp_path}/other.db knows none yet" in ask("why", "abcd", exit_code=2).stderr
    said = ask("rollback", LINE, "--by", "Ada", "--why", "slow", exit_code=2).stderr
    assert "No model of a specialization 'qa-engineer' is known. Lines with one: none" in said


def test_what_is_missing_from_a_command_is_a_usage_error(ask: Ask):
    ask("why", exit_code=2)
    ask("rollback", LINE, exit_code=2)
    ask("nothing", exit_code=2)
