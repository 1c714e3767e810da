"""The client on D-Bus: its own interface, and those that applications for Mender's client know."""
