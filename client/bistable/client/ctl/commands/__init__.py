"""The commands of bistablectl, one module for each."""
