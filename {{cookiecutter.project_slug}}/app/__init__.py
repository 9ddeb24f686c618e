"""The service. Each layer imports only those to its right:

main > application > api > dependencies > services | http > crud > models | schemas > db | utils
> core
"""
