"""Arguments and options that several commands have in common."""

from typing import Annotated
from uuid import UUID

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, and nothing else, to standard output.")]
DeadLetterId = Annotated[UUID, typer.Argument(metavar="ID", help="The dead letter, as `dlq list` shows it.")]
DeadLetterIds = Annotated[list[UUID], typer.Argument(metavar="ID...", help="The dead letters.")]
AnyIds = Annotated[list[UUID] | None, typer.Argument(metavar="[ID]...", help="The dead letters; or use filters.")]
BulkId = Annotated[UUID, typer.Argument(metavar="BULK_ID", help="The bulk replay, as `dlq bulk list` shows it.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="How many at most.")]
After = Annotated[str | None, typer.Option("--after", metavar="CURSOR", help="Go on behind an earlier page.")]
Why = Annotated[str | None, typer.Option("--why", "-m", help="Why, for the audit. Asked for when it is not given.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether many may be touched.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be touched, and do nothing.")]
Everything = Annotated[bool, typer.Option("--all", help="All dead letters that are open.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until it has ended, and show how far it is.")]
Timeout = Annotated[
    float | None, typer.Option("--timeout", min=0.1, metavar="SECONDS", help="Wait no longer than this.")
]
