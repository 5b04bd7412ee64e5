"""Bytes on a socket: messages, their formats, buffers, time-outs, what waits. Nothing here computes."""
