from typing import Literal

from app.schemas.base import ResponseSchema


class Health(ResponseSchema):
    status: Literal["ok"]
