"""The engines that run models: each loaded once per process, within the memory that is free."""
