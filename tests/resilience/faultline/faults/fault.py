"""What every fault can do."""

from abc import ABC, abstractmethod
from random import Random
from typing import ClassVar

from faultline.history import Repair
from faultline.site import Site


class Fault(ABC):
    """Something that goes wrong for a while, and then does not any more.

    The trial is void when `evidence` has nothing to show.
    """

    name: ClassVar[str]
    hold_s: float = 3.0
    """How long it lasts between `inject` and `heal`, unless the fault takes its time itself."""
    poison: dict[str, str]
    """The reasons that poisoned messages are to be set aside for, by session."""
    afflicted: list[str]
    """Subscriptions whose handlers it breaks for some sessions."""
    repairs: list[Repair]
    """What support did about it."""

    def __init__(self, site: Site, random: Random) -> None:
        self.site = site
        self.random = random
        self.seen: list[str] = []
        self.poison = {}
        self.afflicted = []
        self.repairs = []

    @classmethod
    def obstacle(cls, site: Site) -> str | None:
        """Why this machine cannot have the fault, None when it can."""
        return None

    async def prepare(self) -> None:  # noqa: B027 - few faults need anything
        """What has to be there before the load begins, and does no harm yet."""

    @abstractmethod
    async def inject(self) -> None:
        """Break it."""

    @abstractmethod
    async def heal(self) -> None:
        """Mend it; whatever ended runs again when this returns."""

    async def clean_up(self) -> None:  # noqa: B027 - few faults leave anything
        """What is taken away only when everything is quiet."""

    @property
    def evidence(self) -> str:
        """What shows that the fault was there, empty when nothing does."""
        return "; ".join(self.seen)
