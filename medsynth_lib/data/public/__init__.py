"""Public cohorts the lessons can be run on: where they are, what they weigh, and on what terms they may be used."""

from __future__ import annotations

from dataclasses import dataclass, field

from medsynth_lib.errors import InputError

#: A series' DICOM Modality, and a pattern its SeriesDescription must match.
Role = tuple[str, str]

NO_IDENTIFICATION = "No attempt may be made to identify or contact a patient."
ATTRIBUTION = f"Credit the authors with the citation, name the licence, say what you changed. {NO_IDENTIFICATION}"
NON_COMMERCIAL = f"Not for commercial purposes. {ATTRIBUTION}"
TCIA_ACKNOWLEDGED = (
    "Clark K et al. The Cancer Imaging Archive (TCIA). J Digit Imaging 26:1045-1057, 2013. "
    "doi:10.1007/s10278-013-9622-7; "
    "Fedorov A et al. National Cancer Institute Imaging Data Commons. RadioGraphics 43, 2023. doi:10.1148/rg.230180"
)


@dataclass(frozen=True)
class PublicCohort:
    """One public data set, as a cohort of pairs.

    Args:
        name: the word used in commands, and the name of its script in ``data_scripts/``.
        archive: ``IDC`` (Imaging Data Commons) or ``Zenodo``.
        identifier: the collection or record there.
        source, target: the pair it is used for.
        patients, size_gb: patients with both modalities and what is fetched for them, for the first subset; ``None``
            where only the archive knows.
        lesson: the lesson it serves.
        subsets: name → pattern that a patient's identifier (IDC) or region (Zenodo) must match; the first is default.
        roles: for the IDC, modality word → which series it is.
    """

    name: str
    title: str
    archive: str
    identifier: str
    doi: str
    license: str
    terms: str
    citation: str
    source: str
    target: str
    patients: int
    size_gb: float | None
    lesson: str
    subsets: dict[str, str]
    roles: dict[str, Role] = field(default_factory=dict)

    def summary(self) -> dict:
        """The fields a program may want, as plain data."""
        words = (
            "title",
            "archive",
            "identifier",
            "doi",
            "license",
            "terms",
            "citation",
            "source",
            "target",
            "patients",
        )
        return {word: getattr(self, word) for word in (*words, "size_gb", "lesson")} | {"subsets": list(self.subsets)}

    def described(self) -> str:
        """What a user must know before anything is fetched."""
        size = "size asked of the archive" if self.size_gb is None else f"{self.size_gb:.1f} GB"
        default = next(iter(self.subsets))
        lines = {
            self.name: self.title,
            "archive": f"{self.archive}, {self.identifier}, https://doi.org/{self.doi}",
            "pairs": f"{self.source} and {self.target}: {self.patients} patients, {size} (subset {default})",
            "subsets": ", ".join(self.subsets),
            "licence": self.license,
            "terms": self.terms,
            "citation": self.citation,
            "lesson": self.lesson,
        }
        return "\n".join(f"{key + ':':<20} {value}" for key, value in lines.items())


def public_cohort(name: str) -> PublicCohort:
    """The cohort of that name.

    Raises:
        InputError: there is none.
    """
    if name not in COHORTS:
        raise InputError("unknown public cohort", rule=f"one of {', '.join(COHORTS)}", seen=name)
    return COHORTS[name]


def table() -> str:
    """Every cohort in a few lines, for a terminal."""
    return "\n\n".join(cohort.described() for cohort in COHORTS.values())


PET_CT = {"PET": ("PT", ""), "CT": ("CT", "")}
ALL = {"all": ""}

COHORTS = {
    cohort.name: cohort
    for cohort in (
        PublicCohort(
            name="lung_pet_ct_dx",
            title="Lung-PET-CT-Dx: CT and PET/CT of lung cancer, four histological types (the data of 001)",
            archive="IDC",
            identifier="lung_pet_ct_dx",
            doi="10.7937/tcia.2020.nnc2-0461",
            license="CC BY 4.0",
            terms=ATTRIBUTION,
            citation="Li P, Wang S, Li T, Lu J, HuangFu Y, Wang D. A Large-Scale CT and PET/CT Dataset for Lung Cancer "
            f"Diagnosis (Lung-PET-CT-Dx). The Cancer Imaging Archive, 2020. {TCIA_ACKNOWLEDGED}",
            source="CT",
            target="PET",
            patients=9,
            size_gb=4.5,
            lesson="03, U-Net CT→PET",
            subsets={"type-b": r"-B\d", "all": ""},
            roles=PET_CT,
        ),
        PublicCohort(
            name="soft_tissue_sarcoma",
            title="Soft-tissue-Sarcoma: whole-body FDG PET/CT of patients with sarcomas of the extremities",
            archive="IDC",
            identifier="soft_tissue_sarcoma",
            doi="10.7937/k9/tcia.2015.7go2gsks",
            license="CC BY 3.0",
            terms=ATTRIBUTION,
            citation="Vallieres M, Freeman CR, Skamene SR, El Naqa I. A radiomics model from joint FDG-PET and MRI "
            "texture features for the prediction of lung metastases in soft-tissue sarcomas of the extremities "
            f"(Soft-tissue-Sarcoma). The Cancer Imaging Archive, 2015. {TCIA_ACKNOWLEDGED}",
            source="PET",
            target="CT",
            patients=51,
            size_gb=7.7,
            lesson="02, pix2pix PET→CT",
            subsets=ALL,
            roles=PET_CT,
        ),
        PublicCohort(
            name="autopet",
            title="FDG-PET-CT-Lesions (AutoPET): whole-body FDG PET/CT of one scanner",
            archive="IDC",
            identifier="fdg_pet_ct_lesions",
            doi="10.7937/gkr0-xv29",
            license="CC BY 4.0",
            terms=ATTRIBUTION,
            citation="Gatidis S, Kuestner T. A whole-body FDG-PET/CT dataset with manually annotated tumor lesions "
            f"(FDG-PET-CT-Lesions). The Cancer Imaging Archive, 2022. {TCIA_ACKNOWLEDGED}",
            source="PET",
            target="CT",
            patients=900,
            size_gb=370.7,
            lesson="02, pix2pix PET→CT; 06, paired upper bound",
            subsets=ALL,
            roles=PET_CT,
        ),
        PublicCohort(
            name="contrast_ct",
            title="C4KC-KiTS: abdominal CT without contrast agent and in the arterial phase, of one examination",
            archive="IDC",
            identifier="c4kc_kits",
            doi="10.7937/tcia.2019.ix49e8nx",
            license="CC BY 3.0",
            terms=ATTRIBUTION,
            citation="Heller N, Sathianathen N, Kalapara A et al. Data from C4KC-KiTS. The Cancer Imaging Archive, "
            f"2019. {TCIA_ACKNOWLEDGED}",
            source="CECT",
            target="CT",
            patients=108,
            size_gb=22.7,
            lesson="05, residual CycleGAN CECT→CT",
            subsets=ALL,
            roles={"CECT": ("CT", "^arterial"), "CT": ("CT", "^noncontrast$")},
        ),
        PublicCohort(
            name="synthrad2023",
            title="SynthRAD2023, task 1: MR and CT of one patient, registered, for radiotherapy",
            archive="Zenodo",
            identifier="7260705",
            doi="10.5281/zenodo.7260705",
            license="CC BY-NC 4.0",
            terms=NON_COMMERCIAL,
            citation="Thummerer A, van der Bijl E, Galapon Jr A et al. SynthRAD2023 Grand Challenge dataset: "
            "generating synthetic CT for radiotherapy. Med Phys 50:4664-4674, 2023. doi:10.1002/mp.16529",
            source="MR",
            target="CT",
            patients=180,
            size_gb=None,
            lesson="04, CycleGAN MR→CT",
            subsets={"brain": "brain", "pelvis": "pelvis", "all": "brain|pelvis"},
        ),
    )
}
