"""What neural fields are: encodings, networks, and how images are rendered from them. Nothing here fits."""
