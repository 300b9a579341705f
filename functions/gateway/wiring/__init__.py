"""The one place that names implementations: settings in, served apps out."""
