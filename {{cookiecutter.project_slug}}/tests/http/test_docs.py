"""The page that shows the OpenAPI document."""

import re
from urllib.parse import urljoin

import httpx2
import pytest
from fastapi import FastAPI


async def test_docs_need_no_internet(client: httpx2.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.status_code == 200
    urls = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(urls) == 3
    for url in [*urls, *re.findall(r"url: '([^']+)'", page.text)]:
        assert "://" not in url
        assert not url.startswith("/")  # a proxy may serve the page under any path
        assert (await client.get(urljoin("/docs", url))).status_code == 200


async def test_assets_may_be_cached(client: httpx2.AsyncClient) -> None:
    asset = "/docs/assets/swagger-ui-bundle.js"
    first = await client.get(asset, headers={"Cookie": "session=1"})
    assert "Cache-Control" not in first.headers
    etag = {"If-None-Match": first.headers["ETag"]}
    again = await client.get(asset, headers=etag)
    assert again.status_code == 304
    assert again.headers["ETag"] == first.headers["ETag"]
    assert "Cache-Control" not in again.headers


async def test_project_name_is_escaped(
    app: FastAPI, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "title", "</title><script>alert(1)</script>")
    page = (await client.get("/docs")).text
    assert "<title>&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;</title>" in page
    assert "<script>alert" not in page


@pytest.mark.parametrize("settings_values", [{"docs_enabled": False}])
async def test_docs_can_be_turned_off(client: httpx2.AsyncClient) -> None:
    for path in ("/docs", "/docs/assets/swagger-ui.css"):
        assert (await client.get(path)).status_code == 404
