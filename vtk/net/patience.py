"""How long to wait for a server, and when to give up."""

import random
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_RETRY_AFTER_S = 900.0


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits of one transfer.

    Attributes:
        num_retries: Failures in a row, without progress between them, before giving up.
        first_pause_s: Seconds before the first retry; each further pause is twice as long.
        longest_pause_s: No pause is longer, unless the server asks for it.
        connect_s: Seconds for a connection to be made.
        stall_s: Seconds without a byte, or with fewer than `slowest_bytes_per_s`, before the
            connection is given up and made anew.
        slowest_bytes_per_s: What counts as a stall.
        num_corrupt: Times that a whole file may arrive damaged.
        unreachable_s: Seconds before giving up on servers of which none has ever answered: a
            network that dies on the way gets all the retries, one that never was there does not.
    """

    num_retries: int = 8
    first_pause_s: float = 1.0
    longest_pause_s: float = 60.0
    connect_s: float = 15.0
    stall_s: float = 30.0
    slowest_bytes_per_s: float = 256.0
    num_corrupt: int = 2
    unreachable_s: float = 15.0

    def pause_s(self, num_failures: int, asked_s: float | None, draw: random.Random) -> float:
        """Seconds before the next try.

        Args:
            num_failures: Failures in a row so far, at least 1.
            asked_s: What the server asked for (Retry-After); never undercut.
            draw: For the jitter of a quarter, so that many clients do not come back at once.
        """
        doubled = self.first_pause_s * 2.0 ** min(num_failures - 1, 30)
        pause = min(doubled, self.longest_pause_s) * draw.uniform(0.75, 1.25)
        return pause if asked_s is None else max(pause, asked_s)


def parse_retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3); None if it says nothing.

    Example:
        >>> parse_retry_after("120"), parse_retry_after("soon"), parse_retry_after(None)
        (120.0, None, None)
    """
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())
