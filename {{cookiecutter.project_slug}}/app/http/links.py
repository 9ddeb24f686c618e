from fastapi import Request, Response


def add_next_link(request: Request, response: Response, next_cursor: str | None) -> None:
    """Add the `Link` header (RFC 8288) with the URL of the next page, if there is one."""
    if next_cursor is not None:
        url = request.url.include_query_params(cursor=next_cursor)
        response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
