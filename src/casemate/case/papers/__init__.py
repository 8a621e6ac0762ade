"""Papers: what people write during and after an incident, filled from its record.

`telling` gathers what a case can say, `inside` and `outside` put it in the order each reader needs,
`render` writes Markdown and HTML. What no record shows is a blank with the command that fills it.
"""
