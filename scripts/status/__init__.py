"""The state of a stage at one moment, and the screen that shows it."""
