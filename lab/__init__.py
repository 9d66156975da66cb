"""The local stand-in for AWS and its registries, on which the whole of Davit runs."""
