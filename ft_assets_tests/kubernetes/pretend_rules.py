"""Who may do what: the Roles and RoleBindings that were applied, and a record of every request."""

from collections import Counter
from typing import NamedTuple

from ft_assets_tests.kubernetes.pretend_objects import Object, Objects, Refused

ADMIN = "system:admin"
_ACCOUNT = "system:serviceaccount:"


class Request(NamedTuple):
    """One request, in the words of a Role: `resource` is "pods/log" where it names a part of an object."""

    user: str
    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    status: int


def verb_of(method: str, name: str, watch: bool) -> str:
    """The verb that a Role must name for such a request."""
    if method == "GET":
        return "get" if name else "watch" if watch else "list"
    if method == "DELETE":
        return "delete" if name else "deletecollection"
    return {"POST": "create", "PUT": "update", "PATCH": "patch"}[method]


def account_user(namespace: str, account: str) -> str:
    """The user's name of a service account."""
    return f"{_ACCOUNT}{namespace}:{account}"


def demand_allowed(objects: Objects, request: Request) -> None:
    """Returns where a binding in the namespace gives the user a Role with such a rule. Raises 403 otherwise."""
    if request.user == ADMIN:
        return
    for rule in _rules_of(objects, request):
        if _covers(rule, request):
            return
    what = request.resource if not request.group else f"{request.resource.split('/')[0]}.{request.group}"
    who = f'User "{request.user}" cannot {request.verb} resource "{request.resource}" in API group "{request.group}"'
    raise Refused(403, "Forbidden", f'{what} is forbidden: {who} in the namespace "{request.namespace}"')


def used(requests: list[Request]) -> Counter[tuple[str, str, str]]:
    """How often each (group, resource, verb) was asked for and not refused: what a least Role must hold."""
    return Counter((one.group, one.resource, one.verb) for one in requests if one.status != 403)


def _rules_of(objects: Objects, request: Request) -> list[Object]:
    found: list[Object] = []
    for binding in objects.all("rolebindings", request.namespace):
        if request.user in [_subject(one, request.namespace) for one in binding.get("subjects") or []]:
            role = objects.find("roles", request.namespace, binding["roleRef"]["name"])
            found += (role or {}).get("rules") or []
    return found


def _subject(subject: Object, namespace: str) -> str:
    return account_user(subject.get("namespace", namespace), subject["name"])


def _covers(rule: Object, request: Request) -> bool:
    names = rule.get("resourceNames")
    return (
        bool({"*", request.group} & set(rule["apiGroups"]))
        and bool({"*", request.resource} & set(rule["resources"]))
        and bool({"*", request.verb} & set(rule["verbs"]))
        and (not names or request.name in names)
    )
