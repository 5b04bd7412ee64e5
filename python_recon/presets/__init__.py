"""One YAML file for each method that users name: its implementation, its options, its reference."""
