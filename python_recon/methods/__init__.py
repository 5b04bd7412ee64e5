"""One file a method, and the registry that finds them by name: the only room that knows them all."""
