"""What only a network does: delay, resets, half-closed connections, lost answers, partitions, churn."""

import asyncio

from faultline import namespace
from faultline.faults.fault import Fault
from faultline.site import PROCESSES, Site
from faultline.tcp_proxy import Protocol, TcpProxy
from shared_runtime.broker import HEARTBEAT_S

TABLE = "faultline"
PARTITION_S = HEARTBEAT_S + 4.0
CHURN_TIMES = 8
CHURN_INTERVAL_S = 0.6
COMMITS_DROPPED = 4
POLL_S = 0.05


class Proxied(Fault):
    """A fault of the proxies between the services and their servers."""

    def proxies(self, protocol: Protocol | None = None) -> list[TcpProxy]:
        """All of them, or those of one server."""
        protocols = [protocol] if protocol else list(Protocol)
        return [self.site.proxies.of(process, one) for process in PROCESSES for one in protocols]

    def count(self, what: str) -> int:
        """The sum of one counter."""
        return sum(getattr(proxy.counters, what) for proxy in self.proxies())


class Delay(Proxied):
    """Every piece of data takes its time, up to a tenth of a second each way."""

    name = "network-delay"
    hold_s = 4.0

    async def inject(self) -> None:
        self._before = self.count("delayed_chunks")
        for proxy in self.proxies():
            proxy.delay_s = self.random.uniform(0.005, 0.1)

    async def heal(self) -> None:
        for proxy in self.proxies():
            proxy.delay_s = 0.0
        if delayed := self.count("delayed_chunks") - self._before:
            self.seen.append(f"{delayed} pieces were delayed")


class Reset(Proxied):
    """All connections are reset, several times."""

    name = "network-reset"
    hold_s = 0.0

    async def inject(self) -> None:
        reset = 0
        for _ in range(4):
            for proxy in self.random.sample(self.proxies(), len(self.proxies())):
                reset += self.site.proxies.call(proxy.reset_all)
            await asyncio.sleep(self.random.uniform(0.5, 1.5))
        if reset:
            self.seen.append(f"{reset} connections were reset")

    async def heal(self) -> None:
        """New connections are not disturbed."""


class HalfClose(Proxied):
    """Connections end in one direction and swallow what is sent in the other, for longer than a heartbeat."""

    name = "network-half-close"
    hold_s = HEARTBEAT_S + 2.0

    async def inject(self) -> None:
        closed = 0
        for proxy in self.random.sample(self.proxies(), len(self.proxies()) // 2):
            closed += self.site.proxies.call(proxy.half_close_all)
        if closed:
            self.seen.append(f"{closed} connections were half-closed")

    async def heal(self) -> None:
        """New connections are not disturbed."""


class LostCommits(Proxied):
    """PostgreSQL commits, and its answer is lost together with the connection."""

    name = "lost-commit-reply"
    hold_s = 6.0

    async def inject(self) -> None:
        self._before = self.count("commit_replies_dropped")
        for proxy in self.proxies(Protocol.POSTGRESQL):
            proxy.commit_replies_to_drop = COMMITS_DROPPED

    async def heal(self) -> None:
        for proxy in self.proxies(Protocol.POSTGRESQL):
            proxy.commit_replies_to_drop = 0
        if dropped := self.count("commit_replies_dropped") - self._before:
            self.seen.append(f"{dropped} answers to COMMIT were lost")


class Partition(Fault):
    """No packet gets through between some services and a server. Nobody is told."""

    name = "partition"
    hold_s = PARTITION_S

    @classmethod
    def obstacle(cls, site: Site) -> str | None:
        return namespace.nft_obstacle()

    async def inject(self) -> None:
        cut = self.random.sample(PROCESSES, self.random.randint(1, len(PROCESSES)))
        ports = [self.site.proxies.of(process, self.random.choice(list(Protocol))).port for process in cut]
        rules = [
            f"add rule inet {TABLE} cut tcp {direction} {port} counter drop"
            for port in ports
            for direction in ("dport", "sport")
        ]
        namespace.nft(
            f"add table inet {TABLE}",
            f"add chain inet {TABLE} cut {{ type filter hook input priority 0; }}",
            *rules,
        )

    async def heal(self) -> None:
        listing = namespace.nft(f"list table inet {TABLE}")
        dropped = [
            int(words[words.index("packets") + 1])
            for line in listing.splitlines()
            if "packets" in (words := line.split())
        ]
        namespace.nft(f"delete table inet {TABLE}")
        if sum(dropped):
            self.seen.append(f"{sum(dropped)} packets were dropped")


class Churn(Fault):
    """All connections to RabbitMQ and PostgreSQL are closed by the servers, again and again."""

    name = "connection-churn"
    hold_s = 0.0

    async def inject(self) -> None:
        closed = ended = 0
        for _ in range(CHURN_TIMES):
            closed += int(
                await self.site.call_broker(
                    "Connections = rabbit_networking:connections(), "
                    '[catch rabbit_networking:close_connection(One, "churn") || One <- Connections], '
                    "length(Connections)"
                )
            )
            ended += int(
                await self.site.query(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                    "WHERE backend_type = 'client backend' AND usename <> 'postgres'"
                )
            )
            await asyncio.sleep(CHURN_INTERVAL_S)
        if closed and ended:
            self.seen.append(f"RabbitMQ closed {closed} connections, PostgreSQL {ended}")

    async def heal(self) -> None:
        """New connections are not disturbed."""
