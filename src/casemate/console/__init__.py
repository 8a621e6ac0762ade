"""The responder's web pages and their JSON API, over the same workflows as the command line."""
