from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, Field

from app.schemas.base import ResponseSchema

Item = TypeVar("Item")


class PageParams(BaseModel):
    """The query of a list. A list with filters and sort orders extends it."""

    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Annotated[
        str | None, Field(max_length=2000, description="`next_cursor` of the page before")
    ] = None


class Page(ResponseSchema, Generic[Item]):
    items: list[Item]
    next_cursor: str | None
