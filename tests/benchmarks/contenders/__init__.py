"""What Relevo is compared with: applications as one would write them, each served as Relevo is."""
