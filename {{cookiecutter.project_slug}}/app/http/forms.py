from fastapi import Depends, Request
from starlette.exceptions import HTTPException


async def _require_form(request: Request) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in {"application/x-www-form-urlencoded", "multipart/form-data"}:
        raise HTTPException(415)


# Required on routes that take a form: FastAPI reads any other content type as an empty form.
FormBody = Depends(_require_form)
