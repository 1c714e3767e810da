"""Root filesystems for booted tests, put together from the distribution's packages without root."""
