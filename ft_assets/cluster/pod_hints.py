"""What an operator can do about the words of the scheduler and of the API server."""

from collections.abc import Mapping

GPU = "nvidia.com/gpu"
SCHEDULING: Mapping[str, str] = {  # a part of the scheduler's message -> what to do
    f"Insufficient {GPU}": "no node that the pod may go to has that many GPUs free: lower compute.gpus, wait for "
    "whoever holds them, or add a GPU node",
    "Insufficient memory": "lower compute.memory or add a larger node",
    "Insufficient cpu": "lower compute.cpu or add a larger node",
    "untolerated taint": "a node has a taint that the step does not tolerate: see FT_ASSETS_GPU_TAINTS",
    "didn't match Pod's node affinity": "no node has the labels that are asked for: see compute.node_selector "
    "and FT_ASSETS_GPU_NODE_SELECTOR",
    "persistentvolumeclaim": "a claim that the pod mounts does not exist or is not bound",
}
REFUSALS: Mapping[str, str] = {  # a part of the API server's message -> what to do
    "exceeded quota": "ask for less in the line's compute, wait until other pods end, or raise the ResourceQuota",
    "violates PodSecurity": "the namespace enforces a Pod Security level that this pod does not keep to",
    "serviceaccount": "the service account of the run launcher does not exist in this namespace",
    "service account": "the service account of the run launcher does not exist in this namespace",
    "LimitRange": "the namespace's LimitRange allows no such pod",
    "maximum": "the namespace's LimitRange allows no such pod",
    "no PriorityClass": "create the PriorityClass that the pod names, or name another one",
}


def hints(said: str, known: Mapping[str, str]) -> str:
    """What can be done about a message, as sentences that follow it; empty where nothing is known."""
    found = dict.fromkeys(advice for part, advice in known.items() if part in said)
    return " To do: " + "; ".join(found) + "." if found else ""
