"""What the files should say: templates in, bytes out, nothing read but the snapshot."""
