"""What a photo's file says of the photo: date, place, camera, and XMP."""
