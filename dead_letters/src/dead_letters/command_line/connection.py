"""Where the service is, and who calls it."""

import getpass
import ipaddress
from dataclasses import dataclass

import httpx
import typer

from dead_letters.command_line.client import Client
from dead_letters.command_line.exits import Misused

URL_DEFAULT = "http://127.0.0.1:8085"
SUBJECT_CHARACTERS_MAX = 128
ROLE = "support"


@dataclass(frozen=True)
class Connection:
    """What is needed to call the service. It is looked at when the first call is made."""

    url: str = URL_DEFAULT
    subject: str | None = None
    transport: httpx.BaseTransport | None = None
    """Instead of the network."""

    def open(self) -> Client:
        """Raises Misused when the settings are no good."""
        url = _url_of(self.url)
        http = httpx.Client(
            base_url=url,
            headers={"X-Subject": self._caller(), "X-Roles": ROLE, "User-Agent": "dlq"},
            transport=self.transport,
            # What is on this machine is not asked for through a proxy.
            trust_env=not _is_here(url.host),
        )
        return Client(http)

    def _caller(self) -> str:
        subject = self.subject.strip() if self.subject else _login_name()
        if not subject:
            raise Misused("who are you? Say it with --subject or DLQ_SUBJECT")
        if len(subject) > SUBJECT_CHARACTERS_MAX or not subject.isascii() or not subject.isprintable():
            raise Misused(f"the subject must be at most {SUBJECT_CHARACTERS_MAX} printable ASCII characters")
        return subject


def open_client(context: typer.Context) -> Client:
    """The client of the command that runs."""
    connection: Connection = context.obj
    return connection.open()


def _url_of(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in {"http", "https"} or not url.host:
        raise Misused(f"--url or DLQ_URL must be like {URL_DEFAULT}, not {text!r}")
    return url


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""
