SUMMARY = "An image"
LICENSE = "CLOSED"
inherit core-image
