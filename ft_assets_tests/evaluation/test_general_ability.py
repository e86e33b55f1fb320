import json
import runpy

from ft_assets.evaluation.general_ability import FILE, general_suite


def test_the_suite_is_frozen_balanced_and_made_of_different_questions() -> None:
    suite = general_suite()
    assert (suite.name, suite.kind, suite.system_prompt, len(suite.items)) == ("general ability", "general", None, 250)
    prompts = {item.messages[0].content for item in suite.items}
    assert len(prompts) == len({item.cluster_id for item in suite.items}) == 250
    sizes = {name: sum(item.slice == name for item in suite.items) for name in {item.slice for item in suite.items}}
    assert len(sizes) == 7 and min(sizes.values()) >= 16 and max(sizes.values()) <= 50


def test_the_script_beside_the_file_makes_it() -> None:
    made = runpy.run_path(str(FILE.with_name("make_general_ability.py")))
    assert made["text_of_the_file"]() == FILE.read_text()


def test_references_are_right_where_a_machine_can_tell() -> None:
    checked = 0
    for item in general_suite().items:
        question, answer = item.messages[0].content, item.reference
        if question.startswith("What is ") and item.slice == "arithmetic":
            assert eval(question.removeprefix("What is ").split("?")[0], {"__builtins__": {}}) == int(answer)
        elif question.startswith("Repeat exactly: "):
            assert question.removeprefix("Repeat exactly: ") == answer
        elif question.startswith("Sort from small to large: "):
            assert sorted(map(int, question.split(": ")[1].split())) == list(map(int, answer.split()))
        elif item.expected.labels:
            assert answer in item.expected.labels
        elif item.expected.json_schema:
            assert set(json.loads(answer)) == set(json.loads(item.expected.json_schema)["required"])
        else:
            continue
        checked += 1
    assert checked > 100
