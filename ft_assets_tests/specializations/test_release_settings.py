import pytest
from pydantic import ValidationError

from ft_assets.specializations.release_settings import Release


def test_no_line_asks_for_a_person_unless_it_says_so():
    assert Release().approval.required is False
    assert Release.model_validate({"approval": {"required": True}}).approval.expires_days == 14


@pytest.mark.parametrize("wrong", [{"approval": {"expires_days": 0}}, {"approvals": {}}, {"approval": {"by": "Ada"}}])
def test_a_slip_in_the_settings_is_an_error(wrong: dict[str, object]):
    with pytest.raises(ValidationError):
        Release.model_validate(wrong)
