from fastapi import APIRouter

from app.dependencies.get_db import ReadSessionDep
from app.http.shutdown import shutdown
from app.schemas.health import Health
from app.services.health_service import check_ready

router = APIRouter(tags=["process"])


@router.get("/livez", operation_id="livez")
async def livez() -> Health:
    """Check that the process is alive.

    It doesn't touch the database, which a restart of this process wouldn't repair.
    """
    return Health(status="ok")


@router.get("/readyz", operation_id="readyz")
async def readyz(reader: ReadSessionDep) -> Health:
    """Check that the service can handle requests.

    The database answers and is migrated, and the service isn't shutting down.
    """
    await check_ready(reader, is_stopping=shutdown.begun)
    return Health(status="ok")
