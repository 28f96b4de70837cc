"""How often a check calls the function under test: counted, and bounded, whatever it meets."""

from __future__ import annotations

from dataclasses import dataclass

#: No check calls f more often than this.
BUDGET = 490


class Spent(Exception):
    """The calls of f that a stage may make are used up."""


@dataclass(slots=True)
class Calls:
    """How often f was called, how often it may be in all, and how often until the present stage ends."""

    made: int = 0
    budget: int = BUDGET
    limit: int = BUDGET

    def grant(self, share: float) -> None:
        """Let the stage that begins make a share of all calls that are left."""
        self.limit = self.made + int(share * (self.budget - self.made))

    def one_more(self) -> None:
        """Count a call that is about to be made; raise Spent instead at the limit."""
        if self.made >= self.limit:
            raise Spent
        self.made += 1

    @property
    def left(self) -> int:
        """How many more there may be."""
        return self.limit - self.made
