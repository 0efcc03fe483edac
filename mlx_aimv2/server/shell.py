"""The one page and its static files."""

from starlette.routing import Route

routes: list[Route] = []
