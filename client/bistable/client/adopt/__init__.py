"""Takes a device over from the Mender client: reads what that client left, and changes nothing of it."""
