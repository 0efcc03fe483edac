"""Searches, kept for a while so that their photos come page by page."""

from starlette.routing import Route

routes: list[Route] = []
