import re

import kubernetes_validate
import pytest

from ft_assets.cluster.multi_node import SharedTraining, job_set
from ft_assets.cluster.pod_config import GpuNodes
from ft_assets.errors import BadConfiguration
from ft_assets.specializations.specialization import Compute
from ft_assets_tests.kubernetes.pod_security import violations

TRAINING = SharedTraining("training", "rows.jsonl", "base", "out/v1", "summarization")
COMPUTE = Compute(gpus=8, cpu="32", memory="512Gi", node_selector={"gpu": "h200"})
# What the API of JobSet v1alpha2 has of what is used here (api/jobset/v1alpha2/jobset_types.go).
SPEC = {"replicatedJobs", "failurePolicy", "ttlSecondsAfterFinished"}
REPLICATED = {"name", "template", "dependsOn"}


def manifest(nodes: int = 3) -> dict:
    return job_set("qa-engineer", COMPUTE, nodes, "registry.example.com/ft-assets:cuda", TRAINING, GpuNodes())


@pytest.mark.parametrize("version", ["1.31", "1.34"])
def test_each_job_of_the_set_is_a_job_that_kubernetes_takes(version: str) -> None:
    found = manifest()
    assert set(found["spec"]) == SPEC
    for each in found["spec"]["replicatedJobs"]:
        assert set(each) <= REPLICATED
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"}, **each["template"]}
        kubernetes_validate.validate(job, version, strict=True)


def test_every_node_has_a_pod_with_its_gpus_and_all_meet_at_the_first() -> None:
    prepare, workers = manifest(nodes=3)["spec"]["replicatedJobs"]
    spec = workers["template"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert (spec["completions"], spec["parallelism"], spec["completionMode"]) == (3, 3, "Indexed")
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "8"
    words = " ".join(container["args"])
    assert "--nnodes 3 --nproc-per-node 8 --node-rank $(JOB_COMPLETION_INDEX)" in words
    assert "--master-addr train-qa-engineer-nodes-0-0.train-qa-engineer " in words
    assert spec["template"]["spec"]["nodeSelector"] == {"gpu": "h200"}
    assert workers["dependsOn"] == [{"name": "prepare", "status": "Complete"}]
    assert (
        "nvidia.com/gpu" not in prepare["template"]["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    )


def test_the_processes_read_what_the_first_pod_writes() -> None:
    prepare, workers = (
        " ".join(each["template"]["spec"]["template"]["spec"]["containers"][0]["args"])
        for each in manifest()["spec"]["replicatedJobs"]
    )
    (out,) = re.findall(r"--out (\S+)", prepare)
    assert workers.endswith(f"--module ft_assets.training.worker {out}/.work/job")
    assert prepare.endswith("--prepare")


def test_a_pod_that_fails_ends_all_of_them_before_they_start_again() -> None:
    found = manifest()
    assert found["spec"]["failurePolicy"] == {"maxRestarts": 3, "restartStrategy": "BlockingRecreate"}
    assert {each["template"]["spec"]["backoffLimit"] for each in found["spec"]["replicatedJobs"]} == {0}


@pytest.mark.parametrize("nodes", [2, 10, 11, 1000])
def test_the_longest_pod_name_of_the_longest_line_is_one_that_jobset_takes(nodes: int) -> None:
    line = "a" * 38 + "-b"  # no line has a longer name
    name = job_set(line, COMPUTE, nodes, "image", TRAINING, GpuNodes())["metadata"]["name"]
    longest = f"{name}-nodes-0-{nodes - 1}-abcde"  # what JobSet's webhook makes of it before it looks
    assert len(longest) <= 63
    assert re.fullmatch("[a-z]([-a-z0-9]*[a-z0-9])?", longest), longest
    assert name.startswith("train-aaaa")


def test_its_pods_keep_to_the_restricted_level_and_may_write_to_a_fresh_claim() -> None:
    for each in manifest()["spec"]["replicatedJobs"]:
        pod = each["template"]["spec"]["template"]["spec"]
        assert violations(pod) == []
        assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsUser"] == 10001, "the image's user"
        assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
        assert pod["enableServiceLinks"] is False, "Services would add variables"


@pytest.mark.parametrize(("nodes", "gpus"), [(1, 8), (2, 0)])
def test_what_one_pod_can_do_is_refused(nodes: int, gpus: int) -> None:
    with pytest.raises(BadConfiguration, match="no training on several nodes"):
        job_set("qa-engineer", Compute(gpus=gpus), nodes, "image", TRAINING, GpuNodes())
