"""Failures, by the one question an operator asks first: can running again help?"""


class FtAssetsError(Exception):
    """Everything this package raises on purpose. The message says what was found, why it matters and what to do."""


class Rerunnable(FtAssetsError):
    """The cause can be gone next time: a network, another writer, a write that was cut off."""


class NotRerunnable(FtAssetsError):
    """Bad data or bad configuration: the same run fails again until somebody changes something."""


class IncompleteArtifact(Rerunnable):
    """An artifact is absent, half-written or damaged. Materialize what makes it again."""


class Erased(NotRerunnable):
    """What was asked for was deleted because a person asked to be forgotten; only ids and hashes are left of it."""


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


class PromotionRefused(NotRerunnable):
    """A model may not become champion, or its evidence may not be approved, until somebody does what is asked."""


class UnknownModel(NotRerunnable):
    """No model, or more than one, goes by the name that somebody gave."""


class LeaseLost(NotRerunnable):
    """Somebody else trains this specialization now; what this process made is not taken."""


class EvaluationIncomplete(NotRerunnable):
    """An evaluation lacks rows, a side or a metric, so no verdict may rest on it."""


class SandboxUnavailable(BadConfiguration):
    """This machine lacks a lock that the sandbox needs, so code is not run here. The message names it."""


class SandboxFailed(Rerunnable):
    """The sandbox itself broke. This says nothing about the program that was to run."""


class EndedByVerdict(FtAssetsError):
    """A training that was ended for a reason with a name; it registered nothing."""

    @property
    def verdict(self) -> str:
        """The reason's name. The message starts with it, so that it survives the way from one process to another."""
        return str(self).partition(":")[0]


class TrainingStopped(EndedByVerdict, NotRerunnable):
    """A training that the same recipe on the same rows would not survive again."""


class TrainingDiverged(TrainingStopped):
    """A training that cannot become a model any more; `verdict` names why. Nothing was registered."""


class TooLittleMemory(TrainingStopped):
    """A stage does not fit into this device's memory in any form that leaves the task as it is."""


class WrongReference(NotRerunnable):
    """The reference is not the model that the stage starts from, so every margin would be measured from elsewhere."""


class NoTrialLeft(NotRerunnable):
    """Every trial of a sweep failed. The same trials on the same rows fail again."""


class UnknownShape(BadConfiguration):
    """A base model whose parameters this module cannot count, so that memory and hours stay unknown."""


class TrainingSlowed(EndedByVerdict, Rerunnable):
    """The machine became too slow to train on. On another one it goes on from the newest checkpoint."""
