from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.base import ResponseSchema

Item = TypeVar("Item")


class PageParams(BaseModel):
    """The query parameters of a list. A list's own class adds filters and narrows `sort`."""

    model_config = ConfigDict(allow_inf_nan=False)

    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Annotated[
        str | None, Field(max_length=2000, description="`next_cursor` of the previous page")
    ] = None
    sort: str


class Page(ResponseSchema, Generic[Item]):
    items: list[Item]
    next_cursor: str | None
