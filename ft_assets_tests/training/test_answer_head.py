from typing import TYPE_CHECKING

import pytest

from ft_assets.training import answer_head as heads

if TYPE_CHECKING:
    import torch

OUTPUTS = ("log_probs", "entropy", "is_top1")
pytestmark = pytest.mark.torch


def asked(
    softcap: float | None = None, outputs: tuple[str, ...] = OUTPUTS, half: bool = False
) -> list["torch.Tensor | None"]:
    """What the head that TRL would call now says of ten random tokens, and the gradients of their loss."""
    import torch
    from trl.trainer import utils

    random = torch.Generator().manual_seed(0)
    hidden = torch.randn(10, 16, generator=random).requires_grad_()
    weight = torch.randn(40, 16, generator=random).requires_grad_()
    bias = torch.randn(40, generator=random).requires_grad_()
    targets = torch.randint(40, (10,), generator=random)
    targets[:5] = (hidden @ weight.T + bias).argmax(-1)[:5]
    states = hidden.to(torch.bfloat16) if half else hidden
    found = utils._ChunkedLogProbFunction.apply(states, weight, bias, targets, 1.0, 32, softcap, 1.0, outputs)
    (-found[0].sum() / 10).backward()
    return [*found, hidden.grad, weight.grad, bias.grad]


def assert_same(
    found: list["torch.Tensor | None"], wanted: list["torch.Tensor | None"], tolerance: float = 1e-5
) -> None:
    import torch

    for one, other in zip(found, wanted, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert torch.allclose(one.float(), other.float(), atol=tolerance)


def test_the_head_says_and_learns_what_trl_s_own_does() -> None:
    import torch

    wanted = asked()
    with heads.answer_head():
        found = asked()
    assert found[4][:5].all() and not found[4].all()
    assert_same(found, wanted)
    assert not torch.equal(found[5], wanted[5])  # else it was TRL's own again


def test_states_in_bfloat16_meet_weights_in_float32_as_under_fsdp2() -> None:
    wanted = asked(half=True)
    with heads.answer_head():
        assert_same(asked(half=True), wanted, tolerance=0.05)


def test_what_it_does_not_compute_goes_to_trl_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    capped, more = asked(softcap=5.0), asked(outputs=(*OUTPUTS, "mean_logits"))
    whole = asked()
    with heads.answer_head():
        assert_same(asked(softcap=5.0), capped)
        assert_same(asked(outputs=(*OUTPUTS, "mean_logits")), more)
        monkeypatch.setattr(heads, "MOST_LOGITS", 10 * 40 - 1)  # too many to hold
        assert all(torch.equal(one, other) for one, other in zip(asked(), whole, strict=True) if one is not None)


def test_a_batch_without_answers_is_no_error_and_no_gradient() -> None:
    import torch
    from trl.trainer import utils

    hidden, weight = torch.zeros(0, 16, requires_grad=True), torch.ones(40, 16)
    with heads.answer_head():
        found = utils._ChunkedLogProbFunction.apply(
            hidden, weight, None, torch.zeros(0, dtype=torch.long), 1.0, 32, None, 1.0, OUTPUTS
        )
        found[0].sum().backward()
    assert [len(each) for each in found if each is not None] == [0, 0, 0] and hidden.grad is not None


def test_trl_is_as_it_was_afterwards_and_works_where_its_private_names_are_gone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import torch
    from trl.trainer import utils

    before = utils._ChunkedLogProbFunction, utils._use_triton
    with heads.answer_head():
        assert utils._use_triton(torch.device("cpu"))
        assert utils._ChunkedLogProbFunction is not before[0]
    assert (utils._ChunkedLogProbFunction, utils._use_triton) == before
    monkeypatch.delattr(utils, "_use_triton")
    with heads.answer_head():
        assert utils._ChunkedLogProbFunction is before[0]
    assert "slower" in caplog.text
