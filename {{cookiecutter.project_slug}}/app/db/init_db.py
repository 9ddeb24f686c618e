"""Makes sure that the first superuser exists: `python -m app.db.init_db`. Safe to run twice."""

import asyncio
import sys

from pydantic import ValidationError

from app.core.config import Settings, SettingsError, get_settings
from app.core.exceptions import EmailTakenError, InvalidInputError, NotASuperuserError
from app.core.passwords import PasswordHasher
from app.db.errors import translate_db_error
from app.db.session import Database
from app.schemas.user import UserCreate
from app.services.user_service import UserService


async def init_db(settings: Settings) -> bool:
    """Create the first superuser of the settings. False if it exists already.

    Raises SettingsError when FIRST_SUPERUSER_EMAIL or FIRST_SUPERUSER_PASSWORD is missing or refused,
    or the address has an account without rights.
    """
    if settings.first_superuser_email is None or settings.first_superuser_password is None:
        raise SettingsError("FIRST_SUPERUSER_EMAIL and FIRST_SUPERUSER_PASSWORD are needed.")
    try:
        new = UserCreate.model_validate(
            {
                "email": settings.first_superuser_email,
                "password": settings.first_superuser_password,
            }
        )
    except ValidationError as error:
        raise SettingsError(
            "".join(
                f"FIRST_SUPERUSER_{str(problem['loc'][0]).upper()}: {problem['msg']}\n"
                for problem in error.errors(include_input=False)
            )
        ) from None
    async with Database.open(settings) as database:
        try:
            async with database.session.begin() as session:
                users = UserService(session, settings, PasswordHasher())
                return await users.ensure_superuser(new)
        except InvalidInputError as error:
            raise SettingsError(f"FIRST_SUPERUSER_PASSWORD: {error}") from None
        except NotASuperuserError as error:
            raise SettingsError(f"FIRST_SUPERUSER_EMAIL: {error}") from None
        except Exception as error:
            if isinstance(translate_db_error(error), EmailTakenError):
                return False  # another process was first
            raise


def main() -> None:
    settings = get_settings()
    created = asyncio.run(init_db(settings))
    outcome = "created" if created else "exists already"
    sys.stdout.write(f"First superuser {settings.first_superuser_email}: {outcome}.\n")


if __name__ == "__main__":
    main()
