"""The bundled suite of general ability: what an adapter forgot shows where the base answers better than it does."""

from ft_assets.evaluation.suite_files import suite_from_file
from ft_assets.evaluation.suites import Suite
from ft_assets.settings import PROJECT_ROOT

FILE = PROJECT_ROOT / "data" / "general_ability.jsonl"  # made by make_general_ability.py beside it
SHA256 = "4941ca7c401cfd5a853d574e63bf6efeac72e297609335d2233c2703c44b0229"


def general_suite() -> Suite:
    """250 questions in seven slices: arithmetic, copying, reasoning, facts, instructions, classification, JSON.

    They are asked without a system prompt, so that a base's answers serve every model line that starts from it. A tiny
    model answers few of them; the likelihood of the references shows what it forgets.

    Raises:
        BadInput: the file is not the frozen one; bring it back.
    """
    return suite_from_file(FILE, None, name="general ability", sha256=SHA256, kind="general")
