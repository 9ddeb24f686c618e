"""The application that servers import: `app.main:app`."""

import gc

from app.application import create_app
from app.core.config import get_settings
from app.core.logging import configure_logging

settings = get_settings()
configure_logging(settings.log_level, settings.log_format)
app = create_app(settings)

# Exempt import-time objects from garbage collection: each full scan would pause the service for
# about 100 ms.
gc.collect()
gc.freeze()
