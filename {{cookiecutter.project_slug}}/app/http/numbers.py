"""Numbers in parameters and forms, which arrive as text: `NaN`, `1e400` and huge integers are 422.

JSON and most columns can't carry them. In JSON bodies, app/http/strict_json.py rejects them.
"""

from math import isfinite
from typing import Any, get_args

from fastapi.dependencies.models import Dependant
from pydantic import AfterValidator
from pydantic_core import PydanticKnownError


def _check(value: Any) -> Any:
    for number in value if isinstance(value, list | tuple | set) else [value]:
        if (isinstance(number, float) and not isfinite(number)) or (
            isinstance(number, int) and number.bit_length() > 63
        ):
            raise PydanticKnownError("finite_number")
    return value


_CHECK = AfterValidator(_check)


def limit_numbers(dependant: Dependant) -> None:
    """Add the check to the parameters that take numbers, once, when the service starts to work."""
    fields = [
        *(*dependant.path_params, *dependant.query_params, *dependant.header_params),
        *(*dependant.cookie_params, *dependant.body_params),
    ]
    for field in fields:
        info = field.field_info
        if _takes_numbers(info.annotation) and _CHECK not in info.metadata:
            info.metadata.append(_CHECK)
            field.__post_init__()  # builds the validator again


def _takes_numbers(annotation: Any) -> bool:
    return annotation in {int, float} or any(map(_takes_numbers, get_args(annotation)))
