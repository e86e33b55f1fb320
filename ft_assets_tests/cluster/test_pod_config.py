from typing import Any

from ft_assets.cluster.pod_config import GPU, SILENT_NODE, GpuNodes, gpu_step, step_pod
from ft_assets.specializations.specialization import Compute

NODES = GpuNodes()
TOLERATION = {"key": GPU, "operator": "Exists"}
OPERATORS: dict[str, Any] = {  # what a launcher's config may have for all pods
    "container_config": {"security_context": {"read_only_root_filesystem": True}, "volume_mounts": [{"name": "lake"}]},
    "pod_spec_config": {"node_selector": {"disk": "ssd"}, "tolerations": [{"key": "team", "operator": "Exists"}]},
}


def merged(*configs: dict[str, Any]) -> dict[str, Any]:
    """As dagster-k8s merges: mappings deeply, lists one after the other."""
    found: dict[str, Any] = {}
    for config in configs:
        for key, value in config.items():
            known = found.get(key)
            both = isinstance(known, dict) and isinstance(value, dict)
            found[key] = merged(known, value) if both else [*(known or []), *value] if type(value) is list else value
    return found


def test_a_step_that_trains_asks_for_a_gpu_its_nodes_and_shared_memory() -> None:
    step = gpu_step(NODES)
    assert step["container_config"]["resources"]["limits"] == {GPU: "1"}
    assert step["pod_spec_config"]["node_selector"] == {"nvidia.com/gpu.present": "true"}
    assert step["pod_spec_config"]["tolerations"] == [TOLERATION]
    assert step["container_config"]["volume_mounts"][0]["mount_path"] == "/dev/shm"
    assert step["pod_spec_config"]["volumes"][0]["empty_dir"]["medium"] == "Memory"


def test_a_lines_compute_reaches_its_pod_beside_what_the_operator_wants_for_all() -> None:
    compute = Compute(gpus=2, cpu="8", memory="64Gi", node_selector={"gpu": "h200"}, image="registry/cuda:1")
    pod = step_pod(merged(OPERATORS, gpu_step(NODES)), compute, NODES, "qa-engineer")
    container, spec = pod["container_config"], pod["pod_spec_config"]
    asked = {"cpu": "8", "memory": "64Gi", GPU: "2"}
    assert container["resources"] == {"limits": asked, "requests": asked}
    assert container["image"] == "registry/cuda:1"
    assert spec["node_selector"] == {"disk": "ssd", "gpu": "h200"}, "its labels stand in for those of any GPU node"
    assert spec["tolerations"] == [{"key": "team", "operator": "Exists"}, TOLERATION, *SILENT_NODE]
    for part in ("job_metadata", "pod_template_spec_metadata"):
        assert pod[part]["labels"] == {"ft-assets/specialization": "qa-engineer"}


def test_a_line_without_gpus_asks_for_none_even_to_train() -> None:
    pod = step_pod(merged(OPERATORS, gpu_step(NODES)), Compute(gpus=0, cpu="2", memory="4Gi"), NODES)
    asked = {"cpu": "2", "memory": "4Gi"}
    assert pod["container_config"]["resources"] == {"limits": asked, "requests": asked}
    assert pod["pod_spec_config"]["node_selector"] == {"disk": "ssd"}
    assert pod["pod_spec_config"]["tolerations"] == [{"key": "team", "operator": "Exists"}, *SILENT_NODE]


def test_any_other_step_is_small_unless_the_operator_says_how_large() -> None:
    assert GPU not in step_pod(OPERATORS, None, NODES)["container_config"]["resources"]["limits"]
    given = {"limits": {"memory": "9Gi"}}
    assert step_pod({"container_config": {"resources": given}}, None, NODES)["container_config"]["resources"] == given


def test_every_step_pod_is_restricted_alone_and_without_a_token() -> None:
    pod = step_pod(OPERATORS, None, NODES)
    security = pod["container_config"]["security_context"]
    assert security["run_as_non_root"] and not security["allow_privilege_escalation"]
    assert security["read_only_root_filesystem"], "what the operator asks for stays"
    assert pod["job_spec_config"] == {"backoff_limit": 0, "pod_replacement_policy": "Failed"}
    assert pod["pod_spec_config"]["automount_service_account_token"] is False


def test_patience_with_silent_nodes_that_an_operator_wrote_down_is_not_written_twice() -> None:
    pod = step_pod({"pod_spec_config": {"tolerations": [dict(each) for each in SILENT_NODE]}}, None, NODES)
    assert pod["pod_spec_config"]["tolerations"] == SILENT_NODE


def test_the_config_that_is_given_stays_as_it_was() -> None:
    given = gpu_step(NODES)
    step_pod(given, Compute(gpus=0), NODES, "qa-engineer")
    assert given == gpu_step(NODES)
