"""The service. Its layers, each importing only those below it:

main > api > dependencies > services > crud > models | schemas > db | utils > core
"""
