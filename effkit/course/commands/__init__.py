"""The commands of `effkit`, one module each."""
