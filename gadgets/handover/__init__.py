"""From a gadget that Gadgetron started to a daemon that is warm already.

A gadget of ``<execute>`` pays for the imports with every scan. Where a daemon of the same user, version and
settings runs on the machine, the gadget hands the scan to it, and only passes on what is said.

::

    door.py    where the two find each other, and how they make sure of each other
    relay.py   the gadget's side
"""
