"""The workers: Celery tasks that carry a recording through its stages. Start at pipeline.py."""
