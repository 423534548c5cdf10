"""What a student gets back: points, and the hints that the teacher wrote; no test, no traceback, no output.

A submission has seen the hidden tests while they ran, and could print, raise or encode what it saw. So nothing that the
run put out goes back: of an error only its type, if Python has one of that name, and its message only if it is, word
for word, a hint of that very test.
"""

from __future__ import annotations

import ast
import builtins
import re
from pathlib import Path
from typing import Any

from medsynth_lib.course.assignments.execute import is_test
from medsynth_lib.course.assignments.folder import ClassFolder, nbgrader_log, need_nbgrader
from medsynth_lib.course.assignments.grade import VERDICT
from medsynth_lib.course.assignments.release import HIDDEN
from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.errors import MedSynthError

#: What the commonest errors mean; not what they say, as that may be anything.
_ERRORS = {
    "NotImplementedError": "Not done yet: the function still raises NotImplementedError.",
    "NameError": "Something it needs is not defined: did an earlier cell fail, or is a name misspelt?",
}
#: nbgrader's page asks a server elsewhere for MathJax, and a student's text may hold anything; whatever stands on a
#: page, a browser loads and runs nothing for it.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; font-src data:; img-src data:"
_HEAD = f'<head>\n<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
_SCRIPT = re.compile(r"<script\b.*?</script>", re.DOTALL | re.IGNORECASE)
_TEST_LINK = re.compile(r'(<a href="#(?:test-)?([\w-]+)">)Test cell</a>')
_SAYINGS = {
    "ok": "All right.",
    "timeout": "It did not end in time and was stopped: is there a loop without an end?",
    "died": "Python itself ended while this ran.",
    "memory": "It took more memory than a submission may have, and was stopped.",
    "tampered": "The notebook no longer ran what it was given; your teacher will look at it.",
    "not_run": "It was not run, as time or memory of the whole notebook were used up before.",
}


def write_feedback(assignment: str, course: ClassFolder) -> list[Path]:
    """One HTML page for each graded student, in ``feedback/<student>/<assignment>/``; returns their paths.

    Raises:
        MedSynthError: nothing is graded yet, or nbgrader failed.
    """
    need_nbgrader()
    from nbgrader.converters import GenerateFeedback
    from nbgrader.coursedir import CourseDirectory
    from nbgrader.preprocessors import GetGrades

    course.check_released(assignment)
    graded = [one for one in course.students("autograded", assignment)]
    if not graded:
        fix = f"medsynth assignments grade {assignment} --course {course.root}"
        raise MedSynthError(f"no submission of {assignment} is graded", where=course.root, fix=fix)
    config = course.config(assignment)
    config.GenerateFeedback.force = True
    config.GenerateFeedback.preprocessors = [GetGrades, _withhold()]
    with nbgrader_log() as said:
        try:
            GenerateFeedback(coursedir=CourseDirectory(config=config), config=config).start()
        except Exception as error:
            seen = said.getvalue().strip().splitlines()[-1:] or [str(error)]
            raise MedSynthError("nbgrader cannot write feedback", where=course.root, seen=seen[0]) from error
    pages = [course.root / "feedback" / one / assignment / f"{assignment}.html" for one in graded]
    for page in pages:
        with atomic_path(page) as temporary:
            text = _SCRIPT.sub("", page.read_text(encoding="utf-8")).replace("<head>", _HEAD, 1)
            temporary.write_text(_TEST_LINK.sub(r"\1\2</a>", text), encoding="utf-8")
    return pages


def _withhold() -> type:
    """nbgrader's preprocessor that calls ``withhold``; a class, as nbgrader wants one, made when nbgrader is there."""
    from nbgrader.preprocessors import NbGraderPreprocessor

    class Withhold(NbGraderPreprocessor):
        def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
            return withhold(nb), resources

    return Withhold


def withhold(notebook: Any) -> Any:
    """An autograded notebook without hidden tests and outputs; a sentence where there is something to say."""
    from nbformat.v4 import new_output

    for cell in notebook.cells:
        verdict = cell.metadata.pop(VERDICT, {"status": "ok"})
        cell.pop("attachments", None)
        if cell.cell_type != "code":
            continue
        test = is_test(cell)
        said = sentence(verdict, cell.source, test) if test or verdict["status"] != "ok" else ""
        cell.source = HIDDEN.sub("", cell.source).rstrip() or "# (hidden tests)"
        cell.outputs = [new_output("stream", name="stdout", text=said)] if said else []
    return notebook


def sentence(verdict: dict[str, str], source: str, test: bool = True) -> str:
    """What a student may read about a cell with this ``verdict``; ``source`` holds the hints, if it is a ``test``."""
    if verdict["status"] != "error":
        return _SAYINGS[verdict["status"]]
    name, message = verdict.get("ename", ""), verdict.get("evalue", "")
    if message in hints(source):
        return message
    if name in _ERRORS:
        return _ERRORS[name]
    if name in ("SyntaxError", "IndentationError", "TabError") and not test:  # in a test it comes from what was called
        return "This is not valid Python, so nothing in this cell exists. Run it in Jupyter: it shows the line."
    known = isinstance(getattr(builtins, name, None), type) and name in dir(builtins)
    return f"It stopped with {'an error of type ' + name if known else 'an error'}. Run it on inputs of your own."


def hints(source: str) -> set[str]:
    """The messages that a test may raise: literal texts of its ``assert`` and ``raise`` statements."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return set()
    said = [node.msg for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    raised = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    said += [call.args[0] for call in raised if isinstance(call, ast.Call) and call.args]
    said += [
        key
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)  # hint: value that this wrong idea gives
        for key in node.keys
    ]
    return {one.value for one in said if isinstance(one, ast.Constant) and isinstance(one.value, str)}
