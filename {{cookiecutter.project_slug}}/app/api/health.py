from fastapi import APIRouter

from app.dependencies.services import HealthServiceDep
from app.schemas.health import Health

router = APIRouter(tags=["process"])


@router.get("/livez", operation_id="livez")
async def livez() -> Health:
    """Whether the process runs. Touches nothing else: a restart would not mend a database."""
    return Health(status="ok")


@router.get("/readyz", operation_id="readyz")
async def readyz(health: HealthServiceDep) -> Health:
    """Whether requests can be answered: the database is there and migrated."""
    await health.check_ready()
    return Health(status="ok")
