"""What holds for written text in all its languages."""
