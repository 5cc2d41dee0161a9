"""When to stop writing to people who do not react: it spares them, and the brand's name with mail providers.

Belongs here: the rule. Does not belong here: which events are people's (`machine_opens`), or consent, which a person gives.

* `engaged`: opened, clicked, ordered or joined in the last 180 days, or got fewer than 12 messages since the last of these;
* `win_back`: none of it: one last series that asks whether to stay;
* `sunset`: that series was sent, and 30 days later there is still nothing: nothing more is sent until they act.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Stage = Literal["engaged", "win_back", "sunset"]


@dataclass(frozen=True)
class Patience:
    """How long and for how many messages silence is borne, and how long the win-back waits for an answer."""

    silence: timedelta = timedelta(days=180)
    messages: int = 12
    answer: timedelta = timedelta(days=30)


def stage(
    joined: datetime,
    acts: Sequence[datetime],
    delivered: Sequence[datetime],
    won_back: datetime | None,
    at: datetime,
    patience: Patience | None = None,
) -> Stage:
    """Where a recipient stands at that instant; what comes after it is not looked at.

    `acts`: a person's opens, clicks and orders. `delivered`: messages that arrived. `won_back`: end of the newest such series.
    """
    patience = patience or Patience()
    newest = max([joined, *(act for act in acts if act <= at)])
    ignored = sum(newest < one <= at for one in delivered)
    if at - newest <= patience.silence or ignored < patience.messages:
        return "engaged"
    if won_back is not None and newest < won_back <= at - patience.answer:
        return "sunset"
    return "win_back"
