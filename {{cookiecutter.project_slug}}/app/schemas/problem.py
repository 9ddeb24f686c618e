"""Problem details (RFC 9457): the body of every error."""

from typing import Annotated

from pydantic import Field, RootModel

from app.schemas.base import ResponseSchema


class BodyProblem(ResponseSchema):
    detail: str
    pointer: Annotated[str, Field(examples=["/email"])]
    """A JSON pointer (RFC 6901) into the request's body."""


class ParameterProblem(ResponseSchema):
    detail: str
    in_: Annotated[str, Field(alias="in", examples=["query"])]
    name: str


class InvalidField(RootModel[BodyProblem | ParameterProblem]):
    """A name for the union, which generated clients would otherwise invent."""


class Problem(ResponseSchema):
    type: Annotated[str, Field(examples=["/problems/not-found"])]
    title: str
    status: int
    detail: str
    instance: str
    request_id: str


class ValidationProblem(Problem):
    errors: list[InvalidField]
