"""Tags: their counts, their review, what a selection has."""

from starlette.routing import Route

routes: list[Route] = []
