"""Moving accounts between keygen-api and this server (contract: moving).

`format` reads and writes the file of an export, `classes` says which columns of it are which fields of our models.
"""
