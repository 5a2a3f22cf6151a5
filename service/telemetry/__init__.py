"""Traces, metrics and errors that are sent elsewhere. Imported only where they are on."""
