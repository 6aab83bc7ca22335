"""What is taken in before it is a job: uploads in parts, and addresses of recordings."""
