from pydantic import BaseModel, ConfigDict


class RequestSchema(BaseModel):
    """A body that a client sends; members that it doesn't know are refused."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class ResponseSchema(BaseModel):
    """A body that the service sends; can be made from a model."""

    model_config = ConfigDict(from_attributes=True)
