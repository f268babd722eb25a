"""Does what the paper claims hold? Every table and figure anew: `python -m reproduction`, `make reproduce`."""
