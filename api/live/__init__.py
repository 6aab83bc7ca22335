"""Live sessions at the door: a socket that brings audio and is told what is heard."""
