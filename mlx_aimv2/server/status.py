"""How the library is: its folders, errors, the index that runs."""

from starlette.routing import Route

routes: list[Route] = []
