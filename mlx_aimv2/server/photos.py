"""What is known of single photos, and why a search found them."""

from starlette.routing import Route

routes: list[Route] = []
