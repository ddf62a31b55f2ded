"""What is made of other files of ours, so that nobody writes it twice: `make manifests`."""
