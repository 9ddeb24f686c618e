"""The number of SQL statements of the busiest routes: each one is a round trip."""

import pytest

from app.dependencies.resources import Resources
from tests.support import ME, USERS, UserClient, statements

FIND_SESSION = "SELECT user_sessions.id"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (ME, [FIND_SESSION]),
        (f"{ME}/sessions", [FIND_SESSION, "SELECT user_sessions.id"]),
        (f"{USERS}?limit=2&sort=-email", [FIND_SESSION, "SELECT users.id"]),
    ],
)
async def test_get_has_one_statement_for_the_session_and_one_for_the_rows(
    root: UserClient, resources: Resources, path: str, expected: list[str]
) -> None:
    with statements(resources.database) as executed:
        assert (await root.get(path)).status_code == 200
    assert len(executed) == len(expected), executed
    for statement, beginning in zip(executed, expected, strict=True):
        assert statement.startswith(beginning)


async def test_update_locks_and_writes_in_one_transaction(
    ada: UserClient, resources: Resources
) -> None:
    with statements(resources.database) as executed:
        assert (await ada.patch(ME, json={"full_name": "Ada"})).status_code == 200
    beginnings = [statement.replace(";", " ").split()[0] for statement in executed]
    assert beginnings == ["SELECT", "BEGIN", "SELECT", "UPDATE"], executed
