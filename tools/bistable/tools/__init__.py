"""Host tools that are not the artifact builder: disk images, boot scripts, what would boot."""
