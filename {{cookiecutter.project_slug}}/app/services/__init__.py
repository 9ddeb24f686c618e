"""Business logic. A service knows no HTTP and writes no SQL; it raises errors of app.core."""
