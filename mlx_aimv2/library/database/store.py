"""What the library knows: typed questions to its database, one noun a file."""

from .captions import Captions
from .edits import Edits
from .folders import Folders
from .photos import Photos
from .tags import Tags
from .taught import Taught
from .vectors import Vectors
from .verdicts import Verdicts


class Store(Photos, Folders, Vectors, Tags, Verdicts, Captions, Taught, Edits):
    """An open library, for one thread at a time. One process may write; any number may read."""
