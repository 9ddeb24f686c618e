"""Business logic, without HTTP and SQL. Services raise the errors of app/core/exceptions.py."""
