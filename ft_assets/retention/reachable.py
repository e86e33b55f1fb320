"""What is kept, and why: everything that a root reaches, and documents about what is kept."""

from collections.abc import Iterable, Mapping

Node = tuple[str, str]  # kind and digest of an artifact


def reachable(
    roots: Mapping[Node, str], uses: Mapping[Node, Iterable[Node]], about: Mapping[Node, Iterable[Node]]
) -> dict[Node, str]:
    """Every node that is kept, with the reason: the roots, what they use, and what that uses; then documents about any
    of these. A document keeps nothing but itself, or the report of a comparison would keep every model it names."""
    kept = dict(roots)
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        for used in uses.get(node, ()):
            if used not in kept:
                kept[used] = f"used by {named(node)}, which is {kept[node]}" if node in roots else kept[node]
                waiting.append(used)
    for document, subjects in about.items():
        subject = next((each for each in subjects if each in kept), None)
        if document not in kept and subject is not None:
            kept[document] = f"about {named(subject)}"
    return kept


def named(node: Node) -> str:
    """Short, for a sentence."""
    return f"{node[0]} {node[1][:12]}"
