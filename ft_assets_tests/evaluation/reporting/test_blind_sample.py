import csv
import io
from pathlib import Path

import pytest

from ft_assets.errors import BadInput
from ft_assets.evaluation.reporting.blind_sample import BlindSample, blind_sample, read_key, write_blind_sample
from ft_assets.evaluation.reporting.blind_verdicts import blind_results, read_blind_verdicts
from ft_assets_tests.evaluation.samples import item

DIGESTS = ("candidate", "incumbent", "suite")


def a_sample(
    count: int = 60, alike: int = 10, digests: tuple[str, str, str] = DIGESTS, cluster_size: int = 1
) -> BlindSample:
    items = [item(f"r{i:02d}", f"Question {i}", cluster_id=f"c{i // cluster_size}") for i in range(count)]
    ours = {one.row_id: f"ours {place}" for place, one in enumerate(items)}
    theirs = {row_id: ours[row_id] if place < alike else f"theirs {place}" for place, row_id in enumerate(ours)}
    return blind_sample(items, ours, theirs, digests)


def filled(sample: BlindSample, verdicts: dict[str, str], delimiter: str = ",", **cells: str) -> str:
    """The file as a person gives it back: `verdicts` by question, other cells alike in all rows."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(sample.lines[0]), delimiter=delimiter, lineterminator="\r\n")
    writer.writeheader()
    for line in sample.lines:
        writer.writerow({**line, **cells, "better": verdicts.get(line["question"], "")})
    return text.getvalue()


def preferring(sample: BlindSample, candidate: int, incumbent: int) -> dict[str, str]:
    """Verdicts for the first questions: so many for the candidate, then so many for the incumbent."""
    wanted = ["candidate"] * candidate + ["incumbent"] * incumbent
    other = {"A": "B", "B": "A"}
    pairs = zip(sample.key.candidate_is.items(), wanted, strict=False)
    return {question: its if side == "candidate" else other[its] for (question, its), side in pairs}


def test_twenty_differing_pairs_are_drawn_and_alike_ones_are_counted():
    sample = a_sample()
    assert len(sample.lines) == 20
    assert (sample.key.same, sample.key.asked) == (10, 60)
    assert all(line["answer_a"] != line["answer_b"] for line in sample.lines)


def test_no_two_pairs_of_one_cluster_are_drawn():
    sample = a_sample(cluster_size=5)
    clusters = [int(row_id[1:]) // 5 for row_id in sample.key.rows.values()]
    assert len(clusters) == len(set(clusters)) == 10


def test_the_file_does_not_tell_whose_answer_is_whose_and_the_key_does():
    sample = a_sample()
    sides = {line["question"]: line["answer_a"].split()[0] for line in sample.lines}
    assert set(sides.values()) == {"ours", "theirs"}
    for question, word in sides.items():
        assert sample.key.candidate_is[question] == ("A" if word == "ours" else "B")
    shown = " ".join(cell for line in sample.lines for name, cell in line.items() if not name.startswith("answer"))
    assert not any(word in shown for word in ("candidate", "incumbent", *sample.key.rows.values()))


def test_the_same_models_and_suite_give_the_same_sample_and_others_give_another():
    assert a_sample() == a_sample()
    other = a_sample(digests=("another", "incumbent", "suite"))
    assert other.key.sample != a_sample().key.sample
    assert list(other.key.rows.values()) != list(a_sample().key.rows.values())


def test_a_formula_in_an_answer_stays_text_and_the_key_is_read_back(tmp_path: Path):
    sample = blind_sample([item("r0")], {"r0": "=HYPERLINK(1)"}, {"r0": "+1"}, DIGESTS)
    write_blind_sample(tmp_path, sample)
    body = (tmp_path / sample.file_name).read_bytes()
    assert body.startswith(b"\xef\xbb\xbf")
    [row] = csv.DictReader(io.StringIO(body.decode("utf-8-sig")))
    assert {row["answer_a"], row["answer_b"]} == {"'=HYPERLINK(1)", "'+1"}
    assert read_key(tmp_path / "blind-key.json") == sample.key


def test_verdicts_are_counted_for_the_model_that_the_key_names():
    sample = a_sample()
    verdicts = preferring(sample, 9, 4) | {"Q14": "tie", "Q15": "Both bad"}
    result = read_blind_verdicts(filled(sample, verdicts, reviewer="ada", comment="short").encode(), sample.key)
    assert (result.candidate_better, result.incumbent_better, result.ties, result.both_bad) == (9, 4, 1, 1)
    assert result.not_judged == 5
    assert result.reviewers == ("ada",)
    assert result.comments[0] == ("Q01", "candidate", "short")
    assert result.share == pytest.approx(9 / 13)
    # Clopper-Pearson for 9 of 13 as in R: binom.test(9, 13)
    assert (result.low, result.high) == pytest.approx((0.3857, 0.9091), abs=1e-4)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_file_that_a_spreadsheet_saved_in_its_own_way_is_read(delimiter: str, encoding: str):
    sample = a_sample()
    text = filled(sample, preferring(sample, 3, 2), delimiter, comment='naïve; ok, "quoted"')
    text = text.replace("sample", "Sample", 1).rstrip() + "\r\n" + delimiter * 7 + "\r\n"
    result = read_blind_verdicts(text.encode(encoding), sample.key)
    assert (result.candidate_better, result.incumbent_better) == (3, 2)
    assert result.comments[0][2] == 'naïve; ok, "quoted"'


def test_columns_in_another_order_and_rows_that_were_deleted_are_read():
    sample = a_sample()
    body = f"better,question,sample\nb,q03,{sample.key.sample}\n".encode()
    result = read_blind_verdicts(body, sample.key)
    assert result.candidate_better + result.incumbent_better == 1
    assert result.not_judged == 19


@pytest.mark.parametrize(("candidate", "incumbent", "bounds"), [(20, 0, (0.8316, 1.0)), (0, 20, (0.0, 0.1684))])
def test_a_clean_sweep_has_an_interval_that_ends_at_one(candidate: int, incumbent: int, bounds: tuple[float, float]):
    sample = a_sample()
    result = read_blind_verdicts(filled(sample, preferring(sample, candidate, incumbent)).encode(), sample.key)
    assert (result.low, result.high) == pytest.approx(bounds, abs=1e-4)  # 0.025 ** (1 / 20)


def test_nothing_filled_in_has_no_interval():
    sample = a_sample()
    result = read_blind_verdicts(filled(sample, {}).encode(), sample.key)
    assert result.not_judged == 20
    assert result.share is result.low is result.high is None


def test_files_find_the_key_of_their_sample_and_a_slip_in_one_does_not_hide_the_others():
    first, second = a_sample(), a_sample(digests=("another", "incumbent", "suite"))
    files = {
        "b.csv": filled(first, preferring(first, 3, 1)).encode(),
        "a.csv": filled(second, preferring(second, 0, 2)).encode(),
        "slip.csv": filled(first, {"Q01": "perhaps"}).encode(),
        "other.csv": filled(a_sample(digests=("x", "y", "z")), {}).encode(),
        "empty.csv": b"",
    }
    results, problems = blind_results(files, [first.key, second.key])
    assert [(r.sample, r.candidate_better, r.incumbent_better) for r in results] == [
        (second.key.sample, 0, 2),
        (first.key.sample, 3, 1),
    ]
    assert [problem.partition(" do not count: ")[0].split()[-1] for problem in problems] == [
        "empty.csv",
        "other.csv",
        "slip.csv",
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sample,question\n", "Line 1: the header has no column better"),
        ("", "Line 1: the header has no column sample, question, better"),
        ("sample,question,better\nSAMPLE,Q01,maybe secret\n", "Line 2, column better: not a verdict"),
        ("sample,question,better\nSAMPLE,Q77,A\n", "Line 2, column question: no question of sample"),
        ("sample,question,better\nsother,Q01,A\n", "Line 2, column sample: this row is not of sample"),
        ("sample,question,better\nSAMPLE,Q01,A\nSAMPLE,Q01,B\n", "Line 3, column question: Q01 stood in an earlier"),
        ('sample,question,better\nSAMPLE,Q01,"A\n', "Line 2: a quotation mark in this row"),
    ],
)
def test_what_cannot_be_counted_is_named_by_line_and_column_without_its_text(body: str, said: str):
    sample = a_sample()
    with pytest.raises(BadInput, match=said) as caught:
        read_blind_verdicts(body.replace("SAMPLE", sample.key.sample).encode(), sample.key)
    assert "secret" not in str(caught.value)
