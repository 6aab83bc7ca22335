"""The gateway: HTTP in, JSON out. It never decodes media and never loads a model."""
