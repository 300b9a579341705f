"""How good it is: heads found, methods compared, on labelled conversations."""
