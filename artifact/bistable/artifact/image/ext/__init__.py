"""Read ext2, ext3 and ext4 images in pure Python; nothing in them is believed without a check."""
