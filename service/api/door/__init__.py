"""What every request passes: keys, limits, the envelope of answers, errors."""
