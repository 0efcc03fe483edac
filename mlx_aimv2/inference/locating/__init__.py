"""Where in a picture a word is: windows on it, a map of each word, and the place it points to."""
