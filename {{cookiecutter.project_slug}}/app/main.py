"""The application that servers import: `app.main:app`."""

import gc
import sys

# Imports leave hardly any garbage, and to search for it would take more than a tenth of a second.
gc.disable()

from app.application import create_app
from app.core.config import SettingsError, get_settings, warn_of_env_file
from app.core.logging import configure_logging

try:
    settings = get_settings()
except SettingsError as error:
    sys.stderr.write(f"{error}\n")
    sys.exit(3)  # gunicorn and uvicorn don't restart a worker that ends with this status

# `--log-config` of any server: its owner wants another configuration than ours.
if not any(argument.startswith("--log-config") for argument in sys.argv):
    configure_logging(settings.log_level, settings.log_line_format)
warn_of_env_file()
app = create_app(settings)

# Exempt import-time objects from garbage collection: each full scan would pause the service for
# about 100 ms.
gc.freeze()
gc.enable()
