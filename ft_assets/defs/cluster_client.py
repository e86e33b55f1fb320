"""What this project asks of the Kubernetes API. A role that allows less than this, or more, is wrong.

get, list, create, delete on jobs; get on jobs/status; get and list on pods, pods/log and events; in one namespace.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ft_assets.defs.conventions import SETTINGS

if TYPE_CHECKING or SETTINGS.execution == "k8s":  # a second of CPU that only a cluster pays
    from dagster_k8s.client import DagsterKubernetesClient
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    API_FAILURES: tuple[type[Exception], ...] = (ApiException, HTTPError)
else:
    DagsterKubernetesClient = object
    API_FAILURES = ()

REQUEST_SECONDS = 10
NOT_FOUND = 404


class ClusterClient(DagsterKubernetesClient):
    """dagster-k8s's client, which reads more and deletes a Job with its pods in one request.

    Objects are mappings as the API writes them in JSON. Without a deletion policy the API server keeps the pods of a
    deleted batch/v1 Job, as orphans that go on running; dagster-k8s deletes them one by one, with another permission.
    """

    @classmethod
    def like(cls, client: DagsterKubernetesClient) -> "ClusterClient":
        """A client with the connections of `client`."""
        return cls(client.batch_api, client.core_api, client.logger, client.sleeper, client.timer)

    def job(self, name: str, namespace: str) -> Mapping[str, Any] | None:
        """The Job with its status; None when there is none."""
        try:
            return _read(
                self.batch_api.read_namespaced_job_status(name, namespace, _preload_content=False, **_limited())
            )
        except ApiException as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def jobs(self, namespace: str, label_selector: str) -> Sequence[Mapping[str, Any]]:
        """All Jobs with these labels."""
        return _items(
            self.batch_api.list_namespaced_job(
                namespace, label_selector=label_selector, _preload_content=False, **_limited()
            )
        )

    def pods_of(self, job: str, namespace: str) -> Sequence[Mapping[str, Any]]:
        """The pods of a Job."""
        return self.pods_with(f"job-name={job}", namespace)

    def pods_with(self, label_selector: str, namespace: str) -> Sequence[Mapping[str, Any]]:
        """All pods with these labels."""
        return _items(
            self.core_api.list_namespaced_pod(
                namespace, label_selector=label_selector, _preload_content=False, **_limited()
            )
        )

    def events_of(self, names: Sequence[str], namespace: str) -> Sequence[Mapping[str, Any]]:
        """The events about objects of these names."""
        return [
            event
            for name in dict.fromkeys(names)
            for event in _items(
                self.core_api.list_namespaced_event(
                    namespace, field_selector=f"involvedObject.name={name}", _preload_content=False, **_limited()
                )
            )
        ]

    def last_lines(self, pod: str, namespace: str, lines: int) -> str:
        """The last lines that a pod wrote; empty where nobody has them any more."""
        try:
            answer = self.core_api.read_namespaced_pod_log(
                pod, namespace, tail_lines=lines, _preload_content=False, **_limited()
            )
            return str(answer.data.decode(errors="replace")).strip()
        except ApiException:
            return ""

    def delete_job(self, job_name: str, namespace: str) -> bool:
        """Deletes a Job and its pods, which get SIGTERM and their grace period; whether it was there."""
        try:
            self.batch_api.delete_namespaced_job(
                job_name, namespace, propagation_policy="Background", _preload_content=False, **_limited()
            )
            return True
        except ApiException as error:
            if error.status == NOT_FOUND:
                return False
            raise


def refusal(error: Exception) -> str:
    """What the API server said when it refused a request, or what dagster-k8s made of it."""
    error = getattr(error, "k8s_api_exception", None) or error
    body = getattr(error, "body", None)
    try:
        return str(json.loads(body or "")["message"])
    except (ValueError, KeyError, TypeError):
        return str(body or error)


def _limited() -> dict[str, Any]:
    return {"_request_timeout": REQUEST_SECONDS}


def _read(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.data)
    return found


def _items(answer: Any) -> list[dict[str, Any]]:
    return list(_read(answer).get("items") or ())
