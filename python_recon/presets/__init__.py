"""One YAML file a method: its implementation and options."""
