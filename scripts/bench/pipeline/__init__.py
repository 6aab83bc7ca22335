"""What a job costs around its models, beside chains of Celery (goal P5)."""
