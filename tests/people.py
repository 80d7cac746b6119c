"""People for the tests of the pages. A script that is run by AppTest has no cookies: it keeps who it is in its session."""

from app import identity

ALICE, BOB = ("a" * 43, "b" * 43)  # what their browsers' cookies would hold
SESSION = identity.SESSION  # where a session without a cookie keeps the like


def owner(token: str) -> str:
    """What the store knows this browser by."""
    return identity.owner_of(token)
