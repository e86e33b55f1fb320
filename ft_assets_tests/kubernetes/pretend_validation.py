"""What the API refuses: unknown fields, and the rules that schemas do not hold."""

import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]

from ft_assets_tests.kubernetes.pretend_objects import KINDS, Object, Refused
from ft_assets_tests.kubernetes.pretend_scheduler import amount

SCHEMA_VERSION = "1.34"
_LABEL = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")
_SHORT_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_NO_SOURCE = {"name"}


def check(resource: str, thing: Object) -> None:
    """Returns for an object that a real server takes.

    Unknown fields are refused as with `fieldValidation=Strict`; a server left to itself drops them with a warning.

    Raises:
        Refused: 400 for fields and types that the schema does not know, 422 for values that break a rule.
    """
    kind = KINDS[resource]
    whole = {**thing, "apiVersion": kind.api_version, "kind": kind.name}
    try:
        kubernetes_validate.validate(whole, SCHEMA_VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        where = ".".join(str(part) for part in error.path)
        raise Refused(
            400, "BadRequest", f"{kind.name} in version {kind.api_version}: {where}: {error.message}"
        ) from None
    problems = list(_problems(resource, whole))
    if problems:
        full = f"{kind.name}.{kind.group}" if kind.group else kind.name
        name = (thing.get("metadata") or {}).get("name", "")
        raise Refused(422, "Invalid", f'{full} "{name}" is invalid: {", ".join(problems)}')


def _problems(resource: str, thing: Object) -> Iterator[str]:
    yield from _of_metadata(resource, thing.get("metadata") or {})
    if resource == "jobs":
        yield from _of_job(thing["spec"])
    if resource == "pods":
        yield from _of_pod(thing["spec"], "spec")


def _of_metadata(resource: str, meta: Object) -> Iterator[str]:
    name = meta.get("name")
    pattern = _SHORT_NAME if resource in ("jobs", "services", "namespaces") else _NAME
    if not name:
        yield "metadata.name: Required value: name or generateName is required"
    elif not pattern.fullmatch(name):
        yield f'metadata.name: Invalid value: "{name}": a lowercase RFC 1123 name must consist of lower case letters'
    yield from _of_labels(meta, "metadata")


def _of_labels(meta: Object, at: str) -> Iterator[str]:
    for key, value in (meta.get("labels") or {}).items():
        prefix, _, short = key.rpartition("/")
        if not short or not _LABEL.fullmatch(short) or (prefix and not _NAME.fullmatch(prefix)):
            yield f'{at}.labels: Invalid value: "{key}": name part must consist of alphanumeric characters'
        if len(value) > 63:
            yield f'{at}.labels: Invalid value: "{value}": must be no more than 63 bytes'
        elif not _LABEL.fullmatch(value):
            yield f'{at}.labels: Invalid value: "{value}": a valid label must be an empty string or alphanumeric'


def _of_job(spec: Object) -> Iterator[str]:
    for field in ("backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished", "completions", "parallelism"):
        if (spec.get(field) or 0) < 0:
            yield f"spec.{field}: Invalid value: {spec[field]}: must be greater than or equal to 0"
    template = spec["template"]
    yield from _of_labels(template.get("metadata") or {}, "spec.template")
    policy = template["spec"].get("restartPolicy")
    if policy is None:
        yield 'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'
    elif policy not in ("OnFailure", "Never"):
        yield f'spec.template.spec.restartPolicy: Unsupported value: "{policy}": supported values: "OnFailure", "Never"'
    if spec.get("podFailurePolicy") and policy != "Never":
        yield f'spec.podFailurePolicy: Invalid value: only restartPolicy "Never" is supported, not "{policy}"'
    yield from _of_pod(template["spec"], "spec.template.spec")


def _of_pod(spec: Object, at: str) -> Iterator[str]:
    if not spec.get("containers"):
        yield f"{at}.containers: Required value"
    volumes = spec.get("volumes") or []
    for place, volume in enumerate(volumes):
        where = f"{at}.volumes[{place}]"
        if [other["name"] for other in volumes[:place]].count(volume["name"]):
            yield f'{where}.name: Duplicate value: "{volume["name"]}"'
        sources = set(volume) - _NO_SOURCE
        if len(sources) != 1:
            yield f"{where}: " + (
                "may not specify more than 1 volume type" if sources else "must specify a volume type"
            )
    for place, one in enumerate(spec.get("tolerations") or []):
        if one.get("operator") == "Exists" and one.get("value"):
            yield f"{at}.tolerations[{place}].operator: Invalid value: value must be empty when `operator` is 'Exists'"
    seen: set[str] = set()
    for group in ("initContainers", "containers"):
        for place, container in enumerate(spec.get(group) or []):
            where = f"{at}.{group}[{place}]"
            if container["name"] in seen:
                yield f'{where}.name: Duplicate value: "{container["name"]}"'
            seen.add(container["name"])
            yield from _of_container(container, where, {volume["name"] for volume in volumes})


def _of_container(container: Object, at: str, volumes: set[str]) -> Iterator[str]:
    if not _SHORT_NAME.fullmatch(container["name"]):
        yield f'{at}.name: Invalid value: "{container["name"]}": a lowercase RFC 1123 label'
    if not container.get("image"):
        yield f"{at}.image: Required value"
    paths: set[str] = set()
    for place, mount in enumerate(container.get("volumeMounts") or []):
        if mount["name"] not in volumes:
            yield f'{at}.volumeMounts[{place}].name: Not found: "{mount["name"]}"'
        if mount["mountPath"] in paths:
            yield f'{at}.volumeMounts[{place}].mountPath: Invalid value: "{mount["mountPath"]}": must be unique'
        paths.add(mount["mountPath"])
    for place, variable in enumerate(container.get("env") or []):
        if variable.get("value") and variable.get("valueFrom"):
            yield f"{at}.env[{place}].valueFrom: Invalid value: may not be specified when `value` is not empty"
    yield from _of_resources(container.get("resources") or {}, f"{at}.resources")


def _of_resources(resources: Object, at: str) -> Iterator[str]:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    unreadable = [name for name, value in [*limits.items(), *requests.items()] if not _readable(value)]
    if unreadable:
        yield f"{at}: Invalid value: quantities must match the regular expression, {sorted(set(unreadable))} do not"
        return
    for name in sorted({*limits, *requests}):
        if "/" in name:
            yield from _of_device(name, limits.get(name), requests.get(name), at)
        elif name in limits and name in requests and amount(requests[name]) > amount(limits[name]):
            yield f'{at}.requests: Invalid value: "{requests[name]}": must be less than or equal to {name} limit'


def _of_device(name: str, limit: Any, request: Any, at: str) -> Iterator[str]:
    """A device cannot be shared or promised twice: a limit, whole, and the request equal to it."""
    if limit is None:
        yield f"{at}.limits: Required value: Limit must be set for non overcommitable resources"
    elif amount(limit).denominator != 1:
        yield f"{at}.limits[{name}]: Invalid value: {limit}: must be an integer"
    elif request is not None and amount(request) != amount(limit):
        yield f'{at}.requests: Invalid value: "{request}": must be equal to {name} limit of {limit}'


def _readable(value: Any) -> bool:
    try:
        amount(value)
    except ValueError:
        return False
    return True
