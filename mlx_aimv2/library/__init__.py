"""The photo library: index, search, tags, duplicates.

From the top down; what stands above imports what stands below, and nothing imports upward:
browsing, library, export, maintenance, contact_sheet, teaching, editing, tagging, search,
duplicates, indexing, search_model, shots, sidecars, database, signature, thumbnails, apple_photos,
shot_names, tag_names, caption_text, text_cache.
"""
