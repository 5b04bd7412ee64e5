"""What a run may use: time, memory, devices, threads, files; and what it used."""
