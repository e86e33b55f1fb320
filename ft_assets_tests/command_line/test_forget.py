import json
from collections.abc import Callable
from typing import Any

import pytest

from ft_assets.state_forgotten import forget_journal
from ft_assets_tests.command_line.conftest import Ask
from ft_assets_tests.command_line.installation import LINE, Installation

pytestmark = pytest.mark.service
AskJson = Callable[..., Any]
DAY = "2026-03-01"


@pytest.fixture
def landed(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """A record of a user in landing, which became a row of the champion's snapshot."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    record = {"interaction_id": f"log-{LINE}-003", "user_id": "Ada", "input_text": "a", "output_text": "b"}
    other = record | {"interaction_id": "log-other", "user_id": "bea"}
    installation.lake.land(DAY, "log.jsonl", f"{json.dumps(record)}\n{json.dumps(other)}\n".encode())
    return installation


def test_a_dry_run_says_what_would_go_and_the_command_says_what_went(landed: Installation, ask: Ask) -> None:
    told = ask("forget", "ada", "--by", "me", "--dry-run").stdout
    assert "Would go" in told and "1 rows of curated_examples" in told
    assert forget_journal(landed.state) == []
    done = ask("forget", "ada", "--by", "me").stdout
    assert "Gone" in done and "1 records, in 1 files" in done
    assert f"champions among them    {LINE}" in done and "2026-03-01" in done
    assert "FT_ASSETS_SPLIT_KEY is the one that everybody knows" in done
    assert landed.lake.read_landing(DAY, "log.jsonl").count(b"Ada") == 0
    assert landed.lake.scan("curated_examples").filter(example_id=f"{LINE}-003").collect().is_empty()


def test_machines_get_the_same_and_later_answers_say_erased_and_tainted(
    landed: Installation, ask: Ask, ask_json: AskJson
) -> None:
    done = ask_json("forget", "ada", "--by", "me")
    champion = landed.state.champion(LINE)
    assert champion and done["tainted_champions"] == {LINE: champion.model_digest}
    assert champion.model_digest in done["found"]["models"] and done["unfinished"] == []
    why = ask("why", f"{LINE}@champion").stdout
    assert "tainted" in why.lower() and "erased by request" in why
    refused = ask("promote", f"{LINE}@champion", "--by", "me", "--why", "again", exit_code=1)
    assert "erased by request" in refused.stderr or "tainted" in refused.stderr


def test_the_ids_of_erased_rows_still_answer_which_rows_made_a_model_and_what_sets_two_apart(
    landed: Installation, ask: Ask, ask_json: AskJson
) -> None:
    names = [f"{LINE}@{alias}" for alias in ("previous", "champion")]
    rows, between = ask("rows", names[1]).stdout, ask_json("diff", *names)
    counts = ask_json("why", names[1])["rows"]
    ask("forget", "ada", "--by", "me")
    result = ask("rows", names[1])
    assert result.stdout == rows and "Erased by request: the texts of these rows" in result.stderr
    assert ask_json("rows", names[1])["erased_by_request"] is True
    after = ask_json("diff", *names)
    assert (after["added"], after["removed"], after["changed"]) == tuple(
        between[what] for what in ("added", "removed", "changed")
    )
    assert ask_json("why", names[1])["rows"] == counts


def test_a_name_that_nothing_was_found_of_is_told_and_an_erasure_without_a_person_refused(
    landed: Installation, ask: Ask
) -> None:
    told = ask("forget", "adda", "--by", "me", "--dry-run").stdout
    assert "nothing of a user of that name was found" in told and "cannot be taken back" not in told
    assert "Nobody is named who forgets this user" in ask("forget", "ada", "--by", " ", exit_code=1).stderr
    assert forget_journal(landed.state) == []


def test_a_name_comes_from_stdin_where_a_shell_would_remember_it(landed: Installation) -> None:
    from typer.testing import CliRunner

    from ft_assets.command_line.app import app

    result = CliRunner().invoke(app, ["forget", "-", "--by", "me", "--dry-run", "--json"], input="Ada\n")
    assert result.exit_code == 0 and json.loads(result.stdout)["found"]["interactions"] == [f"log-{LINE}-003"]


def test_what_housekeeping_would_delete_is_told_with_why_the_rest_stays(
    installation: Installation, ask: Ask, ask_json: AskJson
) -> None:
    plan = ask_json("housekeeping")
    assert plan["goes"] == [] and plan["done"] is False
    champion = installation.state.champion(LINE)
    assert (
        champion and plan["kept"][f"artifacts/adapter/{champion.model_digest}"] == f"in the champion history of {LINE}"
    )
    assert "in the champion history" in ask("housekeeping").stdout
    assert champion.model_digest in ask("housekeeping", "--kept").stdout
