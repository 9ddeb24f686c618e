"""Routes, the errors they answer with, and the middleware around them: all that speaks HTTP."""
