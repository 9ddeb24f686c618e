from pydantic import BaseModel, ConfigDict


class RequestSchema(BaseModel):
    """A request body. Unknown fields are rejected, and numbers that JSON can't carry."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


class ResponseSchema(BaseModel):
    """A response body. It can be made from a row or a model, and changing it is an error: nothing
    would be stored.
    """

    model_config = ConfigDict(from_attributes=True, frozen=True)
