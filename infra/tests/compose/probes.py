"""Programs that run inside a service's container, with that service's rights. Each prints one JSON object."""

CONNECT_TO_DATABASES = """
import asyncio, json, sys, asyncpg
from pathlib import Path

async def outcome(url):
    try:
        connection = await asyncpg.connect(url, timeout=10)
    except Exception as error:
        return type(error).__name__
    await connection.close()
    return "connected"

async def main():
    server = Path("/run/secrets/database_url").read_text().rpartition("/")[0]
    print(json.dumps({database: await outcome(f"{server}/{database}") for database in sys.argv[1:]}))

asyncio.run(main())
"""
"""Arguments: databases. The outcome of connecting to each: `connected`, or the name of the error."""

READ_QUEUES = """
import asyncio, json, sys, aio_pika
from pathlib import Path

async def outcome(connection, name):
    async with connection.channel() as channel:
        queue = await channel.get_queue(name, ensure=False)
        try:
            await queue.get(fail=False)
        except Exception as error:
            return type(error).__name__
    return "read"

async def main():
    async with await aio_pika.connect(Path("/run/secrets/broker_url").read_text()) as connection:
        print(json.dumps({name: await outcome(connection, name) for name in sys.argv[1:]}))

asyncio.run(main())
"""
"""Arguments: queues. The outcome of reading each: `read`, or the name of the error. What is read goes back."""

WRITE_TO_EXCHANGES = """
import asyncio, json, sys, aio_pika
from pathlib import Path

async def outcome(connection, name):
    async with connection.channel() as channel:
        exchange = await channel.get_exchange(name, ensure=False)
        try:
            await exchange.publish(aio_pika.Message(b""), "nobody.listens.to.this", mandatory=False)
        except Exception as error:
            return type(error).__name__
    return "written"

async def main():
    async with await aio_pika.connect(Path("/run/secrets/broker_url").read_text()) as connection:
        print(json.dumps({name: await outcome(connection, name) for name in sys.argv[1:]}))

asyncio.run(main())
"""
"""Arguments: exchanges. The outcome of a message to each: `written`, or the name of the error."""

LOG_IN = """
import asyncio, json, sys, aio_pika, asyncpg

async def outcome(url):
    try:
        connection = await (aio_pika.connect(url) if url.startswith("amqp:") else asyncpg.connect(url, timeout=10))
    except Exception as error:
        return type(error).__name__
    await connection.close()
    return "connected"

async def main():
    print(json.dumps({url: await outcome(url) for url in sys.argv[1:]}))

asyncio.run(main())
"""
"""Arguments: URLs of the broker or the database. The outcome of connecting: `connected`, or the name of the error."""

CONTENTS = """
import importlib.util, json, os, stat, sys
from pathlib import Path

secrets = sorted(Path("/run/secrets").iterdir())
print(json.dumps({
    "secrets": [path.name for path in secrets],
    "modes": sorted({stat.filemode(path.stat().st_mode) for path in secrets}),
    "development_packages": [name for name in sys.argv[1:] if importlib.util.find_spec(name)],
    "passwords_in_environment": [
        name for name, value in os.environ.items() for path in secrets
        if path.read_text().split(":")[2].partition("@")[0] in value
    ],
}))
"""
"""Arguments: packages. What the container has that it should not have, or not show."""

CRASH = """
import os, signal
from pathlib import Path

for process in Path("/proc").glob("[0-9]*"):
    if int(process.name) not in (1, os.getpid()) and "shared_runtime.serve" in (process / "cmdline").read_text():
        os.kill(int(process.name), signal.SIGKILL)
"""
"""Kills the service without notice."""
