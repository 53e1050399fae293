"""The commands, one file each: `add(commands)` adds its parser, whose `command` runs it.

What is heavy is imported where it runs, so that wrong usage is told at once.
"""
