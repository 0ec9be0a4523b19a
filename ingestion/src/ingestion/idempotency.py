"""The `Idempotency-Key` header: which request it names, and what tells that request from another.

Source: draft-ietf-httpapi-idempotency-key-header.
"""

import re
from hashlib import blake2b
from uuid import UUID

from pydantic import BaseModel
from starlette.datastructures import Headers

from ingestion.domain import limits
from ingestion.domain.commands import Idempotency
from shared_runtime import Problem

HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"

# The draft asks for a structured field string, in quotes; most clients send the key bare, so both are understood.
_QUOTED = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BARE = re.compile(r"[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]+")


def idempotency_of(headers: Headers, caller: str, operation: str, body: BaseModel | None = None) -> Idempotency | None:
    """The caller's key for this operation, None when none was sent.

    `operation` is the method and what it is about. The body is compared as it was understood, so that neither spaces
    nor the order of its fields make it another. Raises Problem 400 when the header is no key.
    """
    sent = headers.getlist(HEADER)
    if not sent:
        return None
    key = _key_in(sent)
    # Of fixed length and per caller: nobody can meet, guess or exhaust another's keys.
    digest = blake2b(f"{len(caller)} {caller} {key}".encode(), digest_size=16)
    content = "" if body is None else body.model_dump_json()
    fingerprint = blake2b(f"{operation}\n{content}".encode(), digest_size=16)
    return Idempotency(UUID(bytes=digest.digest()), fingerprint.hexdigest())


def _key_in(sent: list[str]) -> str:
    if len(sent) == 1:
        value = sent[0].strip()
        quoted = _QUOTED.fullmatch(value)
        key = re.sub(r"\\(.)", r"\1", quoted.group(1)) if quoted else value if _BARE.fullmatch(value) else ""
        if 0 < len(key) <= limits.IDEMPOTENCY_KEY_LENGTH_MAX:
            return key
    raise Problem(
        400,
        "idempotency-key-invalid",
        f"{HEADER} is one key of 1 to {limits.IDEMPOTENCY_KEY_LENGTH_MAX} visible ASCII characters, quoted or bare",
    )
