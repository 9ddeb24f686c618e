"""Makes sure that the first superuser exists: `python -m app.db.init_db`. Safe to run twice."""

import sys

from app.core.config import get_settings
from app.core.event_loop import run
from app.db.errors import exit_on_db_error
from app.manage import create_first_superuser


def main() -> None:
    settings = get_settings()
    with exit_on_db_error():
        created = run(create_first_superuser(settings))
    outcome = "created" if created else "exists already"
    sys.stdout.write(f"First superuser {settings.first_superuser_email}: {outcome}.\n")


if __name__ == "__main__":
    main()
