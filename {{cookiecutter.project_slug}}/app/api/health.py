from fastapi import APIRouter

from app.dependencies.services import HealthServiceDep
from app.schemas.health import Health

router = APIRouter(tags=["process"])


@router.get("/livez", operation_id="livez")
async def livez() -> Health:
    """Check that the process is alive.

    Touches nothing else: a restart would not repair a database.
    """
    return Health(status="ok")


@router.get("/readyz", operation_id="readyz")
async def readyz(health: HealthServiceDep) -> Health:
    """Check that the service can handle requests.

    The database answers and is migrated, and the service isn't shutting down.
    """
    await health.check_ready()
    return Health(status="ok")
