"""`provision image`: a packed generation with its OS packages as an image for Docker and Podman."""
