"""The data stack: what stays when a release is replaced."""
