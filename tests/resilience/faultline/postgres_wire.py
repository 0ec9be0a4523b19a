"""As much of PostgreSQL's protocol (version 3) as it takes to see the answer to a COMMIT go by. Pure."""

import struct

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_COMMAND_COMPLETE = ord("C")
_COMMIT = b"COMMIT\x00"
_HEADER_BYTES = 5


class ServerStream:
    """Follows what a server sends on one connection, message by message, however it is cut into pieces."""

    def __init__(self) -> None:
        self._client_has_spoken = False
        self._bytes_without_frame = 0
        self._pending = bytearray()
        self._to_skip = 0

    def client_says(self, chunk: bytes) -> None:
        """What the client sends first decides how the server's answers begin: to a wish for TLS it says one byte."""
        if not self._client_has_spoken:
            self._client_has_spoken = True
            if chunk.startswith(_SSL_REQUEST):
                self._bytes_without_frame = 1

    def has_commit(self, chunk: bytes) -> bool:
        """Whether a message that ends in this piece says that a COMMIT was done."""
        if self._bytes_without_frame:
            chunk, self._bytes_without_frame = chunk[self._bytes_without_frame :], 0
        self._pending += chunk
        found = False
        while True:
            if self._to_skip:
                skipped = min(self._to_skip, len(self._pending))
                del self._pending[:skipped]
                self._to_skip -= skipped
            if len(self._pending) < _HEADER_BYTES:
                return found
            kind = self._pending[0]
            (length,) = struct.unpack_from("!i", self._pending, 1)
            if kind != _COMMAND_COMPLETE:
                self._to_skip = 1 + length
            elif len(self._pending) < 1 + length:
                return found
            else:
                found |= bytes(self._pending[_HEADER_BYTES : 1 + length]) == _COMMIT
                self._to_skip = 1 + length
