"""Assignment 00: each wrong answer loses exactly its points, with its hint."""

import pytest

from tests.course.assignments.in_process import assert_loses_exactly

STEM = "00_imaging_data"
REMOVED, PSEUDONYM, DATES = "test-removed", "test-pseudonym", "test-dates"
TEXT, PHYSICS = "test-free-text", "test-physics"
HMAC = 'hmac.new(key, header["PatientID"].encode(), hashlib.sha256).hexdigest()[:12]'
# edits, test → part of its message
MUTANTS = [
    ([(' and not name.startswith("Private")', "")], {REMOVED: "Private elements"}),
    ([('"OtherPatientIDs", ', "")], {REMOVED: "leads to the person"}),
    ([('{"InstitutionName", "AccessionNumber"}', '{"InstitutionName"}')], {REMOVED: "accession number"}),
    ([("return kept", "header.pop('PatientAddress', None)\n    return kept")], {REMOVED: "has changed"}),
    ([(HMAC, 'hashlib.sha256(header["PatientID"].encode()).hexdigest()[:12]')], {PSEUDONYM: "A plain hash"}),
    ([("hmac.new(key", "hmac.new(b'fixed'")], {PSEUDONYM: "key is not used"}),
    ([('kept["PatientID"] = pseudonym', "pass")], {PSEUDONYM: "number is still there"}),
    ([('kept["PatientID"] = pseudonym', 'kept.pop("PatientID")')], {PSEUDONYM: "is missing"}),
    ([('= pseudonym', '= hashlib.sha256(np.random.bytes(8)).hexdigest()[:12]')], {PSEUDONYM: "each time"}),
    ([("[:12]", "[:16]")], {PSEUDONYM: "first 12"}),
    ([("days=1 + int(pseudonym, 16) % 365", "days=100")], {DATES: "All patients moved"}),
    ([("- shift).strf", "- 0 * shift).strf")], {DATES: "stayed as it was"}),
    ([('"SeriesDate", "AcquisitionDate"', '"SeriesDate"')], {DATES: "interval between"}),
    ([("- shift).strf", "+ shift).strf")], {DATES: "backwards"}),
    ([("% 365", "% 364")], {DATES: "The number of days"}),
    ([(".lower().find(part.lower())", ".find(part)")], {TEXT: "other letters"}),
    ([('{"StudyDescription", "ImageComments"}', '{"StudyDescription"}')], {TEXT: "free text"}),
    ([('kept[name][:at] + "***" + kept[name][at + len(part) :]', '"***"')], {TEXT: "Only the name"}),
    ([('"AccessionNumber"}', '"AccessionNumber", "PatientWeight"}')], {PHYSICS: "Physics is gone"}),
]  # fmt: skip


@pytest.mark.parametrize(("edits", "hints"), MUTANTS, ids=[str(one[1])[:60] for one in MUTANTS])
@pytest.mark.parametrize("seed", [0, 41])
def test_each_wrong_answer_loses_exactly_its_points(edits, hints, seed):
    assert_loses_exactly(hints, STEM, "deidentify", edits, seed)
