"""Rights and resources of your domains: `<name>.py` for `service/domain/<name>/`, found by name."""
