"""Keywords beside and inside photos: XMP files and ExifTool's."""
