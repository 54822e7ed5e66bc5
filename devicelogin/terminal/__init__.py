"""What a person sees: the code, the QR, the countdown, tables, errors and questions, on the stream that is handed in.

Nothing here knows MSAL or the network, writes to `sys.stdout` by itself or ends the process. Whatever a server, a file
or the environment said goes through `redaction.printable` before it is written.
"""
