"""Pictures: thumbnails, views, originals, and where a word is in them."""

from starlette.routing import Route

routes: list[Route] = []
