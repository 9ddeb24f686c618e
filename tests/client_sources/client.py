"""Signs up, signs in, reads the own account, and reads an error, with the generated client."""

import sys

from my_service_client import AuthenticatedClient, Client
from my_service_client.api.auth import create_token
from my_service_client.api.users import create_user, list_users, read_me
from my_service_client.models import (
    BodyCreateToken,
    BodyProblem,
    ListUsersSort,
    Problem,
    TokenRead,
    UserCreate,
    UserRead,
    ValidationProblem,
)

ADDRESS = sys.argv[1]
PASSWORD = "correct horse battery staple"

client = Client(base_url=ADDRESS)
account = UserCreate(email="python@example.com", password=PASSWORD)
created = create_user.sync(client=client, body=account)
assert isinstance(created, UserRead), created

form = BodyCreateToken(username=account.email, password=PASSWORD)
tokens = create_token.sync(client=client, body=form)
assert isinstance(tokens, TokenRead), tokens

signed_in = AuthenticatedClient(base_url=ADDRESS, token=tokens.access_token)
me = read_me.sync(client=signed_in)
assert isinstance(me, UserRead)
assert me.id == created.id

invalid = create_user.sync(client=client, body=UserCreate(email="nobody", password=PASSWORD))
assert isinstance(invalid, ValidationProblem), invalid
(field,) = invalid.errors
assert isinstance(field, BodyProblem)
assert field.pointer == "/email"

forbidden = list_users.sync(client=signed_in, sort=ListUsersSort.CREATED_AT_DESC)
assert isinstance(forbidden, Problem)
assert forbidden.type_ == "/problems/forbidden"
