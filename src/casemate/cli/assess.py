"""placeholder."""


def add_parser(verbs):
    verbs.add_parser("assess")
