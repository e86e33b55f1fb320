"""Failures, by the one question an operator asks first: can running again help?"""


class FtAssetsError(Exception):
    """Everything this package raises on purpose. The message says what was found, why it matters and what to do."""


class Rerunnable(FtAssetsError):
    """The cause can be gone next time: a network, another writer, a write that was cut off."""


class NotRerunnable(FtAssetsError):
    """Bad data or bad configuration: the same run fails again until somebody changes something."""


class IncompleteArtifact(Rerunnable):
    """An artifact is absent, half-written or damaged. Materialize what makes it again."""


class WriteConflict(Rerunnable):
    """Other writers kept changing the same partitions while this one tried to replace them."""


class InputsMoved(Rerunnable):
    """The inputs changed under every attempt to compute from them, so nothing was written."""


class BadConfiguration(NotRerunnable):
    """The environment, a YAML file or a recipe asks for something that cannot work."""


class BadInput(NotRerunnable):
    """Data that a step was given breaks the contract of that step."""


class BadOutput(NotRerunnable):
    """A step made rows that break the contract of their table; nothing was written. Mend the code that made them."""


class MissingInput(NotRerunnable):
    """An upstream asset was never materialized for what this step needs."""


class LeakFound(NotRerunnable):
    """Text of the evaluation side was found where a model could learn from it."""


class StaleChampion(NotRerunnable):
    """Another model was promoted since the evaluation that this promotion rests on."""


class EvaluationIncomplete(NotRerunnable):
    """An evaluation lacks rows, a side or a metric, so no verdict may rest on it."""
