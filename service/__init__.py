"""What runs in the container: the API, the worker and the migrations, one image for all."""
