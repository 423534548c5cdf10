"""Plans: what they expand to, and that every mistake is one message with the file, the entry, the rule and the fix."""

import json

import pytest

from medsynth_lib.cli import main
from medsynth_lib.course.batch.plan import load_plan
from medsynth_lib.errors import MedSynthError
from tests.course.notebook_factory import write_notebook


@pytest.fixture
def folder(tmp_path):
    for stem in ("a", "b"):
        write_notebook(tmp_path / "lessons" / f"{stem}.ipynb", "x = 1")
    for name in ("north", "south"):
        (tmp_path / name).mkdir()
    return tmp_path


def yaml_plan(folder, text):
    (folder / "plan.yaml").write_text(text)
    return folder / "plan.yaml"


def test_notebooks_times_grid_times_data_with_defaults(folder):
    text = """
defaults: {time_limit_s: 60, parameters: {PROFILE: smoke, SEED: 9}}
runs:
  - notebooks: lessons/*.ipynb
    grid: {SEED2: [1], STEPS: [10, 20]}
    data: [north, south]
    parameters: {SEED: 3}
    gpus: 1
  - notebooks: [lessons/a.ipynb]
    name: alone
"""
    runs = load_plan(yaml_plan(folder, text.replace("SEED2: [1], ", "")))
    assert len(runs) == 2 * 2 * 2 + 1
    first = runs[0]
    assert first.name == "a-STEPS=10-data=north"
    assert first.parameters == {"PROFILE": "smoke", "SEED": 3, "STEPS": 10}
    assert (first.data, first.time_limit_s, first.gpus, first.student) == (folder / "north", 60, 1, False)
    assert (runs[-1].name, runs[-1].gpus, runs[-1].data) == ("alone", 0, None)
    with pytest.raises(MedSynthError, match="unknown notebook parameter: SEED2"):
        load_plan(yaml_plan(folder, text))


def test_csv_has_one_run_a_row_and_parameters_by_column(folder):
    (folder / "plan.csv").write_text(
        "\ufeffnotebook,name,time_limit_s,data,SEED,PROFILE,STEPS\n"
        "lessons/a.ipynb,one,30,north,3,lesson,\nlessons/b.ipynb,,,,1e-4,smoke,7\n",
        encoding="utf-8",
    )
    one, two = load_plan(folder / "plan.csv")
    assert (one.name, one.time_limit_s, one.data) == ("one", 30, folder / "north")
    assert one.parameters == {"SEED": 3, "PROFILE": "lesson"}
    assert (two.name, two.parameters, two.time_limit_s) == ("b", {"SEED": 1e-4, "PROFILE": "smoke", "STEPS": 7}, 3600)


def test_folder_is_of_students_and_named_by_paths(folder):
    (folder / "lessons" / ".ipynb_checkpoints").mkdir()
    write_notebook(folder / "lessons" / ".ipynb_checkpoints" / "a.ipynb", "x = 1")
    write_notebook(folder / "lessons" / "anna b" / "hw.ipynb", "x = 1")
    runs = load_plan(folder / "lessons", {"time_limit_s": 5, "parameters": {"SEED": 2}})
    assert [run.name for run in runs] == ["a", "anna_b__hw", "b"]
    assert all(run.student and run.time_limit_s == 5 and run.parameters == {"SEED": 2} for run in runs)


def test_key_follows_content_parameters_and_data_but_not_limits(folder):
    def key(**changes):
        return load_plan(folder / "lessons", changes)[0].key()

    before = key()
    assert key(time_limit_s=5, memory_limit_mib=999) == before
    assert key(parameters={"SEED": 1}) != before
    assert key(data=str(folder / "north")) != before
    write_notebook(folder / "lessons" / "a.ipynb", "x = 2")
    assert key() != before


GOOD = "notebooks: lessons/a.ipynb"
MISTAKES = {
    "unknown key": (f"runs: [{{{GOOD}, notebok: x}}]", "unknown key notebok", "entry 1 of runs"),
    "unknown top": (f"run: [{{{GOOD}}}]", "unknown key run", "one of defaults, runs"),
    "no list": ("runs: 3", "no runs", "seen:  3"),
    "no mapping": ("- a", "unknown key", "plan.yaml"),
    "not YAML": ("runs: [", "not a YAML file", "line 1"),
    "no notebooks": ("runs: [{name: x}]", "no notebooks", "entry 1"),
    "missing notebook": (f"runs: [{{{GOOD}}}, {{notebooks: c.ipynb}}]", "no such notebook", "entry 2"),
    "empty pattern": ("runs: [{notebooks: '*.ipynb'}]", "no such notebook", r"seen:  \*.ipynb"),
    "limit": (f"runs: [{{{GOOD}, time_limit_s: 0}}]", "time_limit_s is out of range", "seen:  0"),
    "limit text": (f"runs: [{{{GOOD}, memory_limit_mib: 4GB}}]", "memory_limit_mib is out", "seen:  '4GB'"),
    "parameter": (f"runs: [{{{GOOD}, parameters: {{SED: 1}}}}]", "unknown notebook parameter: SED", "SEED"),
    "grid": (f"runs: [{{{GOOD}, grid: {{SEED: 3}}}}]", "grid is no mapping of lists", "seen"),
    "both": (
        f"runs: [{{{GOOD}, grid: {{SEED: [3]}}, parameters: {{SEED: 1}}}}]",
        "SEED is in parameters and in",
        "fix",
    ),
    "data": (f"runs: [{{{GOOD}, data: west}}]", "data is not there", "seen:  west"),
    "twice": (f"runs: [{{{GOOD}}}, {{{GOOD}}}]", "two runs of one name", "give each a name"),
    "defaults": (f"defaults: {{name: x}}\nruns: [{{{GOOD}}}]", "unknown key name", "defaults"),
    "student": (f"runs: [{{{GOOD}, student: 3}}]", "student is neither", "seen:  3"),
    "date": (f"runs: [{{{GOOD}, parameters: {{SEED: 2020-01-01}}}}]", "no plain value", "rule"),
    "NaN": (f"runs: [{{{GOOD}, parameters: {{SEED: .nan}}}}]", "no plain value", "rule"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_in_yaml_is_named_with_its_place(folder, name):
    text, what, more = MISTAKES[name]
    with pytest.raises(MedSynthError, match=what) as error:
        load_plan(yaml_plan(folder, text))
    assert error.match(more)
    assert error.match("plan.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "an empty file"),
        ("path\nx\n", "no column notebook"),
        ("notebook,SEED\nlessons/a.ipynb\n", "line 2(.|\n)*2 fields"),
        ("notebook,SEED\nlessons/a.ipynb,1,2\n", "line 2(.|\n)*2 fields"),
        ("notebook,SED\nlessons/a.ipynb,1\n", "unknown notebook parameter: SED(.|\n)*line 2"),
        ("notebook,gpus\nlessons/a.ipynb,many\n", "gpus is out of range(.|\n)*line 2"),
    ],
)
def test_mistake_in_csv_is_named_with_its_line(folder, text, words):
    (folder / "plan.csv").write_text(text)
    with pytest.raises(MedSynthError, match=words):
        load_plan(folder / "plan.csv")


def test_what_is_no_plan_is_refused_and_no_notebook_is_left_for_the_report(folder):
    with pytest.raises(MedSynthError, match="no such plan"):
        load_plan(folder / "nowhere.yaml")
    (folder / "plan.txt").write_text("x")
    with pytest.raises(MedSynthError, match="ends in"):
        load_plan(folder / "plan.txt")
    with pytest.raises(MedSynthError, match="nothing to run"):
        load_plan(folder / "north")
    (folder / "lessons" / "a.ipynb").write_text("not json")
    assert len(load_plan(yaml_plan(folder, f"runs: [{{{GOOD}, parameters: {{SEED: 1}}}}]"))) == 1


def test_dry_run_lists_and_runs_nothing(folder, capsys):
    out = folder / "out"
    assert main(["batch", str(folder / "lessons"), "--out", str(out), "--dry-run", "--json"]) == 0
    assert [run["name"] for run in json.loads(capsys.readouterr().out)] == ["a", "b"]
    assert main(["batch", str(folder / "lessons"), "--dry-run", "--memory-mib", "700"]) == 0
    assert "a: a student's, at most 3600 s, 700 MiB\n" in capsys.readouterr().out
    assert not out.exists()


def test_semicolons_of_a_spreadsheet_are_read_too(folder):
    (folder / "plan.csv").write_text("notebook;name;SEED\nlessons/a.ipynb;one;0,5\n")
    (run,) = load_plan(folder / "plan.csv")
    assert (run.name, run.parameters) == ("one", {"SEED": 0.5})
