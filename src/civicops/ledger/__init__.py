"""What hosts answered: documents on their way in (spool), checked (documents), kept (store) and proven (verify)."""
