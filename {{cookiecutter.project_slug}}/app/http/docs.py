"""`/docs`, from the files of an installed package, so that it works without internet access."""

from html import escape
from importlib.resources import files

from fastapi import APIRouter, FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.requests import Request

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    # Relative addresses: a proxy may serve the page under any path.
    assets = "docs/assets"
    return get_swagger_ui_html(
        openapi_url=request.app.openapi_url.removeprefix("/"),
        title=escape(request.app.title),  # FastAPI doesn't escape it
        swagger_js_url=f"{assets}/swagger-ui-bundle.js",
        swagger_css_url=f"{assets}/swagger-ui.css",
        swagger_favicon_url=f"{assets}/favicon.png",
    )


def install_docs(app: FastAPI) -> None:
    app.include_router(router)
    assets = str(files("fastapi_offline") / "static")
    app.mount("/docs/assets", StaticFiles(directory=assets), name="docs-assets")
