"""What things cost, against the usual way in the same run: `python -m bench`. Each part is a file in `parts/`."""
