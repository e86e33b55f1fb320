"""Whether a namespace lets a pod or a Job in: service accounts, priorities, quotas."""

from collections import Counter
from fractions import Fraction

from ft_assets_tests.kubernetes.pretend_objects import Object, Objects, Refused
from ft_assets_tests.kubernetes.pretend_scheduler import amount


def admit_pod(objects: Objects, namespace: str, pod: Object) -> None:
    """Returns for a pod that may be created, and sets what admission sets: the service account and the priority.

    Raises:
        Refused: 403, in the words that the Job's event repeats.
    """
    name, spec = pod["metadata"]["name"], pod["spec"]
    account = spec.setdefault("serviceAccountName", "default")
    if not objects.find("serviceaccounts", namespace, account):
        missing = f'error looking up service account {namespace}/{account}: serviceaccount "{account}" not found'
        raise Refused(403, "Forbidden", f'pods "{name}" is forbidden: {missing}')
    if spec.get("priorityClassName"):
        priority = objects.find("priorityclasses", "", spec["priorityClassName"])
        if priority is None:
            missing = f"no PriorityClass with name {spec['priorityClassName']} was found"
            raise Refused(403, "Forbidden", f'pods "{name}" is forbidden: {missing}')
        spec["priority"] = priority["value"]
    _within_quotas(objects, namespace, "pods", name, _pod_charges(spec), spec)


def admit_job(objects: Objects, namespace: str, name: str) -> None:
    """Returns for a Job that the namespace's quota of Jobs has room for. Raises 403."""
    _within_quotas(objects, namespace, "jobs.batch", name, {"count/jobs.batch": Fraction(1)}, None)


def _within_quotas(
    objects: Objects, namespace: str, what: str, name: str, charges: dict[str, Fraction], spec: Object | None
) -> None:
    for quota in objects.all("resourcequotas", namespace):
        hard = {key: amount(value) for key, value in quota["spec"].get("hard", {}).items()}
        head = f'{what} "{name}" is forbidden:'
        unsaid = sorted(key for key in hard if spec and _compute(key) and key not in charges)
        if unsaid:
            who = ",".join(container["name"] for container in spec["containers"]) if spec else ""
            said = "; ".join(f"{key} for: {who}" for key in unsaid)
            raise Refused(403, "Forbidden", f"{head} failed quota: {quota['metadata']['name']}: must specify {said}")
        used = _used(objects, namespace)
        over = sorted(key for key in charges if key in hard and used[key] + charges[key] > hard[key])
        if over:
            asked, taken, most = (
                ",".join(f"{key}={float(values[key]):g}" for key in over) for values in (charges, used, hard)
            )
            said = f"exceeded quota: {quota['metadata']['name']}, requested: {asked}, used: {taken}, limited: {most}"
            raise Refused(403, "Forbidden", f"{head} {said}")


def _compute(key: str) -> bool:
    """Whether a quota on this makes every pod say a value."""
    return key.removeprefix("requests.").removeprefix("limits.") in ("cpu", "memory")


def _used(objects: Objects, namespace: str) -> Counter[str]:
    used: Counter[str] = Counter({"count/jobs.batch": len(objects.all("jobs", namespace))})
    for pod in objects.all("pods", namespace):
        if pod["status"]["phase"] not in ("Succeeded", "Failed"):
            used.update(_pod_charges(pod["spec"]))
    return used


def _pod_charges(spec: Object) -> dict[str, Fraction]:
    charges: Counter[str] = Counter({"pods": 1, "count/pods": 1})
    said: dict[str, int] = Counter()
    for container in spec["containers"]:
        resources = container.get("resources") or {}
        limits = resources.get("limits") or {}
        for side, values in (("limits", limits), ("requests", {**limits, **(resources.get("requests") or {})})):
            for key, value in values.items():
                said[f"{side}.{key}"] += 1
                charges[f"{side}.{key}"] += amount(value)  # type: ignore[assignment]
    complete = {key: value for key, value in charges.items() if key not in said or _for_all(said[key], key, spec)}
    for key in ("cpu", "memory"):
        if f"requests.{key}" in complete:
            complete[key] = complete[f"requests.{key}"]
    return {key: Fraction(value) for key, value in complete.items()}


def _for_all(times: int, key: str, spec: Object) -> bool:
    """A sum of cpu or memory counts only when every container says its part."""
    return not _compute(key) or times == len(spec["containers"])
