"""The second half of `make image-check`: the built image keeps its promises."""
