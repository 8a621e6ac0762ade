"""The reverse proxy: a shell of the guard that stands before any HTTP/1.1 model server.

`caller` reads requests, `upstream` asks the model server, `relay` brings a request from the one to
the other past the guard, `listening` opens the ports and keeps the time. Bodies pass unchanged.
"""
