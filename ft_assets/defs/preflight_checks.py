from typing import TYPE_CHECKING

import dagster as dg

from ft_assets.defs.conventions import MODEL_LINES, SETTINGS, SPECIALIZATIONS, partition, pinned, specialization
from ft_assets.defs.dataset import train_eval_split
from ft_assets.defs.evaluation_facts import materializations, report_of
from ft_assets.defs.training import device_of, floors_of, training_rows
from ft_assets.errors import FtAssetsError, MissingInput
from ft_assets.lake import Lake
from ft_assets.specializations.choice import why_skipped
from ft_assets.specializations.loader import Specialization

if TYPE_CHECKING:
    from pathlib import Path

    from ft_assets.training.catalogue import BaseModelSpec
    from ft_assets.training.preflight import Preflight
    from ft_assets.training.training_device import TrainingDevice

WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


# A snapshot of too few rows never comes here: train_eval_split itself refuses below trigger.minimum_examples.
@dg.asset_check(asset=train_eval_split, partitions_def=MODEL_LINES, blocking=True)
def training_can_succeed(context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
    """Nothing speaks against training the YAML's recipe on this snapshot: rows, lengths, masks, steps, rate, memory.

    Asked before a GPU is; `lora_checkpoint` asks again, with the knobs of its launch. Blocks with every reason by name,
    and says so where no tokenizer can be had to look at the rows; also where the gate could promote nobody.
    """
    spec = specialization(context)
    if reason := why_skipped(spec):
        return dg.AssetCheckResult(passed=True, metadata={"status": "SKIPPED", "reason": reason})
    from ft_assets.chat import Chat
    from ft_assets.training.preflight import preflight

    snapshot = lake.artifact("snapshot", pinned(context, "train_eval_split"))
    folder, not_looked = tokenizer_of(context, lake, spec)
    found = preflight(
        spec.recipe,
        training_rows(snapshot.path, spec.recipe),
        Chat(folder) if folder else None,
        spec.system_prompt.as_written(),
        lake.work_dir("tokens"),
        base_model=spec.base_model,
        least=floors_of(spec),
        device=expected_device(spec) if folder else None,
    )
    return check_result(found, not_looked, powerless_gate(context, lake, spec))


def powerless_gate(context: dg.AssetCheckExecutionContext, lake: Lake, spec: Specialization) -> str | None:
    """Why no model of this line could be promoted, however good, given how much the last report saw two models differ;
    the load of the YAML has asked the same with an assumed figure."""
    from ft_assets.evaluation.deciding.gate_power import observed_discordance
    from ft_assets.evaluation.deciding.gate_rules import JUDGED
    from ft_assets.evaluation.deciding.verdict import Condition
    from ft_assets.specializations.gate_check import gate_problem

    for made in materializations(context.instance, "evaluation_report", spec.name, 1):
        report = report_of(lake, made.get("digest"))
        if report is None or report.get("format", 1) < 2:
            return None
        seen = {}
        for condition in (Condition.model_validate(each) for each in report["verdict"]["conditions"]):
            suite = JUDGED if condition.suite == report["judged_suite"] else condition.suite
            if condition.kind == "guardrail" and (found := observed_discordance(condition)) is not None:
                seen[f"{condition.metric} on {suite}"] = found
        return gate_problem(spec, SPECIALIZATIONS, seen)
    return None


def check_result(found: "Preflight", not_looked: str | None, gate: str | None = None) -> dg.AssetCheckResult:
    """Red and blocking for what refuses, yellow where nobody could look at the rows, otherwise green with warnings."""
    from ft_assets.training.preflight import told

    refusing, warnings = told(found.refusing), told(found.warnings)
    if gate:
        refusing.append(f"gate_without_power: {gate}")
    if not_looked:
        warnings.append(f"tokenizer_not_had: the rows were not looked at as tokens, because {not_looked}")
    return dg.AssetCheckResult(
        passed=not refusing and not not_looked,
        severity=ERROR if refusing else WARN,
        metadata={
            "refused_because": dg.MetadataValue.md(bullets(refusing)),
            "warnings": dg.MetadataValue.md(bullets(warnings)),
            **{
                name: dg.MetadataValue.json(value) if isinstance(value, dict) else value
                for name, value in found.facts().items()
            },
        },
        description=" ".join(refusing or warnings) or None,
    )


def tokenizer_of(
    context: dg.AssetCheckExecutionContext, lake: Lake, spec: Specialization
) -> "tuple[Path | None, str | None]":
    """The directory of the base model's tokenizer, or None and why there is none.

    Weights are not needed: an embedded model and a path are read where they lie, of a hub's model the small files are
    fetched. Only where that fails the latest `base_model` of the line is asked, if it is the one that the YAML names.
    """
    from ft_assets.training.catalogue import resolve
    from ft_assets.training.tokenizer_files import tokenizer_dir

    model = resolve(spec.base_model)
    try:
        return tokenizer_dir(model, SETTINGS.project_root, SETTINGS.cache_dir), None
    except MissingInput as why:
        try:
            digest = materialized_base(context, model)
            return (lake.artifact("base_model", digest).path, None) if digest else (None, str(why))
        except FtAssetsError as also:
            return None, f"{why} And the stored base model cannot be read: {also}"


def materialized_base(context: dg.AssetCheckExecutionContext, model: "BaseModelSpec") -> str | None:
    """Digest of the line's latest `base_model`, if it is the model that the YAML names today."""
    records = context.instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey("base_model"), asset_partitions=[partition(context)]), limit=1
    ).records
    made = records[0].asset_materialization if records else None
    if made is None or "digest" not in made.metadata:
        return None
    wanted = {"source": model.source, "id": model.id, "hub_id": model.hub_id, "revision": model.revision}
    found = {name: made.metadata[name].value if name in made.metadata else None for name in wanted}
    return str(made.metadata["digest"].value) if found == wanted else None


def expected_device(spec: Specialization) -> "TrainingDevice | None":
    """What the line will train on: this machine, or what its `compute` asks a cluster for."""
    from ft_assets.training.training_device import device_asked_for

    compute = spec.compute
    if SETTINGS.execution == "k8s":
        return device_asked_for(compute.gpus, compute.gpu, compute.node_selector, compute.dollars_per_gpu_hour)
    return device_of(spec)


def bullets(sentences: list[str]) -> str:
    """One sentence a line, as Markdown."""
    return "\n".join(f"- {sentence}" for sentence in sentences) or "none"
