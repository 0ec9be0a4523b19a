"""Changes of a JSON document by a pointer (RFC 6901), as in `/package/weight_kg=1.5`."""

import json
from typing import Any

from dead_letters.command_line.exits import Misused


def with_values(text: str, assignments: list[str]) -> str:
    """The document with the values set. Raises Misused when it cannot be done without changing anything else."""
    document = _read(text)
    for assignment in assignments:
        pointer, equals, value = assignment.partition("=")
        if not equals:
            raise Misused(f"--set wants POINTER=VALUE, as in /package/weight_kg=1.5, not {assignment!r}")
        document = _set(document, pointer, _value(value))
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def is_same(one: str, other: str) -> bool:
    """Whether two texts are the same JSON, to the last digit and in the same order."""
    return bool(_exactly(one) == _exactly(other))


def _read(text: str) -> Any:
    try:
        document = json.loads(text)
        faithful = is_same(text, json.dumps(document))
    except (ValueError, RecursionError):
        raise Misused("the body is no JSON: mend it with an editor or --from-file") from None
    if not faithful:
        raise Misused("--set would change other values of this body too: mend it with an editor or --from-file")
    return document


def _exactly(text: str) -> Any:
    # A number is what is written, and a name that is there twice is there twice.
    return json.loads(text, parse_float=lambda one: ("number", one), object_pairs_hook=lambda pairs: ("object", pairs))


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _set(document: Any, pointer: str, value: Any) -> Any:
    if pointer == "":
        return value
    if not pointer.startswith("/"):
        raise Misused(f"a pointer begins with a slash, as in /package/weight_kg, not {pointer!r}")
    *parents, last = (part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/"))
    target = document
    for parent in parents:
        target = _member(target, parent, pointer)
    match target:
        case dict():
            target[last] = value
        case list() if last == "-":
            target.append(value)
        case list():
            target[_index(target, last, pointer)] = value
        case _:
            raise _leads_nowhere(pointer)
    return document


def _member(target: Any, name: str, pointer: str) -> Any:
    match target:
        case dict() if name in target:
            return target[name]
        case list():
            return target[_index(target, name, pointer)]
        case _:
            raise _leads_nowhere(pointer)


def _index(target: list[Any], name: str, pointer: str) -> int:
    if not name.isascii() or not name.isdecimal() or len(name) > 9 or int(name) >= len(target):
        raise _leads_nowhere(pointer)
    return int(name)


def _leads_nowhere(pointer: str) -> Misused:
    return Misused(f"{pointer} leads nowhere in this body")
