"""`make manifests`: files generated from other files, so that nothing is written twice."""
