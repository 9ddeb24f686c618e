from typing import Annotated

from fastapi import Depends

from app.core.config import Settings
from app.dependencies.resources import ResourcesDep


async def get_app_settings(resources: ResourcesDep) -> Settings:
    return resources.settings


SettingsDep = Annotated[Settings, Depends(get_app_settings)]
