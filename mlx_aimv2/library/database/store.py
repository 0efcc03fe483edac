"""What the library knows: typed questions to its database, one noun a file."""

from .folders import Folders
from .photos import Photos
from .tags import Tags
from .vectors import Vectors


class Store(Photos, Folders, Vectors, Tags):
    """An open library, for one thread at a time. One process may write; any number may read."""
