"""The formats of feeds, one file each; a file here is a format."""
