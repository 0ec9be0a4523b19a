"""Makes up a password for every user of the servers, once, and hands each container its own and no other.

Every folder below /secrets is a volume that one other container sees too. Runs at each start, so that a service that
joins later gets its passwords then; those that exist stay. Standard library only.
"""

import base64
import hashlib
import json
import secrets
from pathlib import Path

SERVICES = ("ingestion", "package_service", "drone_scheduler", "delivery", "dead_letters")
ROOT = Path("/secrets")
PASSWORDS = ROOT / "passwords" / "passwords.json"
DEFINITIONS = Path("/app/definitions.json")


def main() -> None:
    """Write the files that the containers read their passwords from."""
    definitions = json.loads(DEFINITIONS.read_text())
    passwords = read_passwords()
    database = {user: passwords.setdefault(f"postgres/{user}", new_password()) for user in ("postgres", *SERVICES)}
    broker = {
        user["name"]: passwords.setdefault(f"rabbitmq/{user['name']}", new_password()) for user in definitions["users"]
    }
    # First of all: a password that is in use somewhere must never be made up anew.
    write(PASSWORDS, json.dumps(passwords, indent=2))

    for user, password in database.items():
        write(ROOT / "postgres" / user, password)
    for user in definitions["users"]:
        user["password_hash"] = password_hash(broker[user["name"]])
    write(ROOT / "rabbitmq" / "definitions.json", json.dumps(definitions))
    database_urls = {name: f"postgresql://{name}:{database[name]}@postgres:5432/{name}" for name in SERVICES}
    broker_urls = {user: f"amqp://{user}:{password}@rabbitmq:5672/" for user, password in broker.items()}
    for service in SERVICES:
        write(ROOT / service / "database_url", database_urls[service])
        write(ROOT / service / "broker_url", broker_urls[service.replace("_", "-")])
        # It looks everywhere, to check what has to be true.
        write(ROOT / "demo" / f"{service}_database_url", database_urls[service])
    write(ROOT / "fleet_simulator" / "broker_url", broker_urls["fleet"])
    for user in ("fleet", "admin"):
        write(ROOT / "demo" / f"{user}_broker_url", broker_urls[user])
    print(f"{len(passwords)} passwords are in place")


def read_passwords() -> dict[str, str]:
    """The passwords of earlier starts, by server and user."""
    if not PASSWORDS.exists():
        return {}
    passwords: dict[str, str] = json.loads(PASSWORDS.read_text())
    return passwords


def new_password() -> str:
    """192 random bits, in characters that a URL and a shell take as they are."""
    return secrets.token_urlsafe(24)


def password_hash(password: str) -> str:
    """RabbitMQ's salted SHA-256 (https://www.rabbitmq.com/docs/passwords#computing-password-hash)."""
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def write(path: Path, content: str) -> None:
    """Write a file for its owner and group, whole or not at all."""
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    draft.touch(0o640)
    draft.write_text(content)
    draft.chmod(0o440)
    draft.replace(path)


if __name__ == "__main__":
    main()
