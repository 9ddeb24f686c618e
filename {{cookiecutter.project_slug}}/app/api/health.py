from fastapi import APIRouter

from app.dependencies.get_db import ReadSessionDep
from app.http.shutdown import shutdown
from app.schemas.health import Health
from app.services.health_service import check_ready

router = APIRouter(tags=["process"])


@router.get("/livez", operation_id="livez")
async def livez() -> Health:
    """Check that the process runs. It touches nothing else: a restart wouldn't repair a database."""
    return Health(status="ok")


@router.get("/readyz", operation_id="readyz")
async def readyz(reader: ReadSessionDep) -> Health:
    """Check that requests can be served: the database answers and is migrated."""
    await check_ready(reader, is_stopping=shutdown.begun)
    return Health(status="ok")
