"""The numeric fingerprint: what it names, and what counts as another one."""

import json

import pytest

from ft_assets.training.numerics import NOT_RECORDED, differing, numerics

pytestmark = pytest.mark.torch
RECORD = {"python": "3.11.7", "device": {"threads": 2}, "libraries": {"torch": "2.13.0"}, "snapshot": "a"}


def test_it_names_processor_instructions_number_format_and_variables(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    found = numerics()
    assert found["variables"]["MKL_CBWR"] == "COMPATIBLE"
    assert "OMP_WAIT_POLICY" not in found["variables"], "how a thread waits changes no sum"
    assert found["dtype"] in ("float32", "bfloat16") and found["kernels"] and found["cpu"]
    assert found["processes"] == 1
    assert found == json.loads(json.dumps(numerics())), "the same at every look, and plain JSON"


def test_records_differ_in_what_decides_the_bits_only():
    assert differing(RECORD, {**RECORD, "snapshot": "b"}) == {}
    other = {**RECORD, "device": {"threads": 1}, "libraries": {"torch": "2.14.0"}}
    assert differing(RECORD, other) == {"device.threads": (2, 1), "libraries.torch": ("2.13.0", "2.14.0")}


def test_what_an_earlier_version_did_not_record_is_no_match():
    now = {**RECORD, "numerics": {"dtype": "bfloat16"}}
    assert differing(RECORD, now) == {"numerics.dtype": (NOT_RECORDED, "bfloat16")}
