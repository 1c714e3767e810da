"""Disk images: made from a layout, converted from what somebody else made, and looked into."""
