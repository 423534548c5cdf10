"""Graded assignments on nbgrader: released without solutions, graded in a sandbox, returned without the tests."""
