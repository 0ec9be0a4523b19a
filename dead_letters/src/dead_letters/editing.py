"""What a mended dead letter has to be."""

from datetime import datetime

from dead_letters.commands import EditDeadLetter
from dead_letters.contents import Content, digest_of
from dead_letters.domain.dead_letter import DeadLetter, Version, replace, version_id_of
from dead_letters.domain.limits import BODY_BYTES_MAX
from dead_letters.domain.states import Form
from shared_runtime import Problem
from shared_runtime.envelope import MAX_DATA_BYTES


def next_version(known: DeadLetter, content: Content, edit: EditDeadLetter, now: datetime) -> Version:
    """The version that the edit makes. Raises Problem 422 when nobody could accept it."""
    changed = replace(
        content,
        body=content.body if edit.body is None else edit.body,
        content_type=content.content_type if edit.content_type is None else edit.content_type,
    )
    match known.form:
        case Form.EVENT:
            _require_event(edit, changed)
        case Form.UNDECODABLE:
            _require_events(edit, changed)
    version = known.version + 1
    return Version(
        version_id=version_id_of(known.dead_letter_id, version),
        dead_letter_id=known.dead_letter_id,
        version=version,
        body=changed.body,
        body_bytes=len(changed.body),
        sha256=digest_of(changed.body),
        content_type=changed.content_type,
        expires_at=edit.expires_at if edit.is_expiry_set else known.expires_at,
        actor=edit.actor,
        why=edit.why,
        created_at=now,
    )


def _require_event(edit: EditDeadLetter, changed: Content) -> None:
    if edit.content_type is not None:
        raise _not_acceptable("the content type of an event is locked")
    if edit.body is not None and len(edit.body) > MAX_DATA_BYTES:
        raise _not_acceptable(f"an event has at most {MAX_DATA_BYTES} bytes, these are {len(edit.body)}")
    if changed.error is not None:
        raise _not_acceptable(f"the body must be JSON: {changed.error}")


def _require_events(edit: EditDeadLetter, changed: Content) -> None:
    if edit.is_expiry_set:
        raise _not_acceptable("when it expires is said in the body, because that is no event of its own")
    if len(changed.body) > BODY_BYTES_MAX:
        raise _not_acceptable(f"at most {BODY_BYTES_MAX} bytes are accepted, these are {len(changed.body)}")
    if changed.error is not None:
        raise _not_acceptable(f"the body is still no event: {changed.error}")
    longest = max(len(bytes(event.data)) for event in changed.events())
    if longest > MAX_DATA_BYTES:
        raise _not_acceptable(f"an event has at most {MAX_DATA_BYTES} bytes, the longest of these has {longest}")


def _not_acceptable(text: str) -> Problem:
    return Problem(422, "body-not-acceptable", text)
