"""Groups of photos that show one picture, and what is picked for removal."""

from starlette.routing import Route

routes: list[Route] = []
