"""What `parley` can do: a module per group of commands, each with its arguments."""
