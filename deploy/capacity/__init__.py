"""`python -m deploy.capacity`: how many processes, databases and disks a load needs, from measured figures."""
