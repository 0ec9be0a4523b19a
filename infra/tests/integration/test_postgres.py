"""Every service has a database that nobody else gets into, and no crash loses what was committed."""

import asyncpg
import pytest

from local_stack.errors import StackError
from local_stack.ports import is_free
from local_stack.servers import LocalServers


async def test_owner_may_create_tables_in_its_database(servers: LocalServers) -> None:
    connection = await asyncpg.connect(servers.database_url("ingestion"))
    try:
        await connection.execute("CREATE TABLE owned (id int)")
    finally:
        await connection.execute("DROP TABLE owned")
        await connection.close()


@pytest.mark.parametrize("database", ["ingestion", "postgres", "template1"])
async def test_role_may_not_connect_to_another_database(servers: LocalServers, database: str) -> None:
    url = servers.database_url("delivery")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(url, database=database)


async def test_role_is_no_administrator(servers: LocalServers) -> None:
    connection = await asyncpg.connect(servers.database_url("delivery"))
    try:
        for statement in ("CREATE DATABASE more", "CREATE ROLE more", "SELECT pg_reload_conf()"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_wrong_password_is_refused(servers: LocalServers) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(servers.database_url("delivery"), password="wrong")


async def test_commits_are_durable_and_passwords_scrambled(servers: LocalServers) -> None:
    connection = await asyncpg.connect(servers.postgres.admin_url)
    try:
        for name, value in {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}.items():
            assert await connection.fetchval(f"SHOW {name}") == value
        stored = await connection.fetch("SELECT rolpassword FROM pg_authid WHERE rolcanlogin")
        assert all(row["rolpassword"].startswith("SCRAM-SHA-256$") for row in stored)
        assert (
            await connection.fetchval("SELECT count(*) FROM pg_hba_file_rules WHERE auth_method <> 'scram-sha-256'")
            == 0
        )
    finally:
        await connection.close()


async def test_fresh_database_is_empty_and_can_be_dropped(servers: LocalServers) -> None:
    url = servers.create_database("fresh")
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    servers.postgres.drop_database("fresh")
    await connection.close()
    with pytest.raises(asyncpg.PostgresError):
        await asyncpg.connect(url)


def test_database_that_exists_is_kept(servers: LocalServers) -> None:
    assert servers.create_database("delivery") == servers.database_url("delivery")


def test_name_that_would_need_quoting_is_refused(servers: LocalServers) -> None:
    with pytest.raises(StackError, match="no plain database name"):
        servers.create_database('x"; DROP DATABASE delivery; --')


async def test_committed_row_survives_kill(servers: LocalServers) -> None:
    url = servers.create_database("crash")
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE kept (id int)")
    await connection.execute("INSERT INTO kept VALUES (7)")

    servers.postgres.kill()
    assert is_free(servers.postgres.port)
    with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
        await connection.fetchval("SELECT 1")
    connection.terminate()
    servers.postgres.start()

    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT id FROM kept") == 7
    await connection.close()


async def test_restart_keeps_port_and_data(servers: LocalServers) -> None:
    url = servers.create_database("restarted")
    servers.postgres.restart()
    connection = await asyncpg.connect(url)
    await connection.close()


async def test_paused_server_does_not_answer_until_it_is_resumed(servers: LocalServers) -> None:
    url = servers.database_url("delivery")
    connection = await asyncpg.connect(url)
    servers.postgres.pause()
    try:
        with pytest.raises(TimeoutError):
            await asyncpg.connect(url, timeout=0.3)
        assert servers.postgres.obstacle() is not None
    finally:
        servers.postgres.resume()
    assert await connection.fetchval("SELECT 1", timeout=10) == 1
    await connection.close()
