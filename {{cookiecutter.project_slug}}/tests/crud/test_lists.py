"""Every list of the service, in every order."""

from typing import Any

import pytest

from app.db.session import Database
from tests.crud.lists import LISTS, List

SEE_VALUES = (
    "the list filters rows out: see VALUES in tests/db/rows.py, or DEPENDENT in tests/crud/lists.py if "
    "it depends on rows of other tables"
)


def test_lists_are_found() -> None:
    assert "list_users(-email)" in {str(list_) for list_ in LISTS}


@pytest.mark.parametrize("list_", LISTS, ids=str)
async def test_pages_of_every_list_agree_with_the_whole(database: Database, list_: List) -> None:
    await list_.store_rows(database, 5)
    whole = await list_.fetch(database, limit=100)
    assert len(whole.items) == 5, SEE_VALUES
    found: list[Any] = []
    cursor = None
    for _ in whole.items:
        page = await list_.fetch(database, limit=1, cursor=cursor)
        found += page.items
        cursor = page.next_cursor
    assert cursor is None
    assert found == whole.items
