"""Photos by month, the newest first."""

from starlette.routing import Route

routes: list[Route] = []
