"""Prints a number to add to Martlet's ports (--port-offset) so that all of them are free."""

import os
import socket

PORTS = (8081, 8088, 9092)

for offset in range(10000 + os.getpid() % 1000, 50000, 17):
    try:
        for port in PORTS:
            socket.create_server(("127.0.0.1", port + offset)).close()
    except OSError:
        continue
    print(offset)
    break
else:
    raise SystemExit("error: no free ports")
