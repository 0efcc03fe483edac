"""Edits that the page makes, and their undoing."""

from starlette.routing import Route

routes: list[Route] = []
