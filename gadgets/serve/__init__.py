"""A warm daemon: one process that listens, and a process of its own for every scan.

::

    daemon.py          gives each connection a worker; drains when it is told to end
      doors.py         where it listens and whom it lets in
                       (handover/door.py: for gadgets of this machine)
      pool.py          keeps a warm worker ready
        attendant.py   follows one worker, and tells its client where the worker cannot
          worker.py    that process, by process.py: one scan, then it ends
          desk.py      what it tells; turns.py, when it computes
          line.py      what the two say to each other; progress.py, what follows from it
      voice.py         what libraries write past the log
      parting.py       how the daemon parts from a client
      device_queue.py  whose turn it is to compute
      health.py        /healthz, /readyz, /metrics; metrics.py, what is counted
        live.py        the live page and its files in page/; board.py, what it shows; frames.py, its pictures
    settings.py        what a client asks for, as a configuration; defaults.py, where it asks for nothing
    logs.py            text on a terminal, JSON otherwise

Daemon and worker share the client's connection: the worker speaks, and the daemon only where the worker
cannot any more. Scans come and go at once; only fits take turns at the device, each for ``max_recon_seconds``
at most.

What a peer sends is read as numbers, XML and JSON with bounded sizes. Nothing is unpickled; multiprocessing's
own hand-over from the daemon to a new worker holds no byte of a peer.
"""
