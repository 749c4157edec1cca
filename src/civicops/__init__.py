"""civicops: look after towns and cities. Everything that runs on the controller."""
