"""Every tissue of the phantom: the class it is labelled as, and what X-rays, FDG and spins do in it.

Sources, by column:

* ``material`` and ``density`` (g/cm³): ICRU 44 (1989) and Woodard & White (1986), see ``attenuation``. Densities stay
  in their published ranges, set so that the CT numbers meet those of unenhanced scans (Lamba et al., AJR 203:1013,
  2014).
* ``spread_hu``: sd of the CT number between patients; ``texture_hu``: sd within one organ (the same paper).
* ``arterial``, ``portal``: enhancement in HU at some 35 s and 70 s after 120 mL of 300 mgI/mL (Bae, Radiology 256:32,
  2010); divided by ``attenuation.iodine_hu_per_mg_ml`` it is the concentration of iodine.
* ``suv``: mean SUVbw one hour after FDG; ``suv_cv``: its variation between patients (Zincirkeser et al., J Int Med Res
  35:231, 2007; Wang et al., Mol Imaging Biol 9:83, 2007). Myocardium, urine and tumours vary most, and are log-normal;
  sarcomas range from below 3 to above 20 (Eary et al., Eur J Nucl Med 29:1149, 2002).
* ``t1_ms``, ``t2_ms``: at 1.5 T (fat and muscle: Gold et al., AJR 183:343, 2004; organs: de Bazelaire et al.,
  Radiology 230:652, 2004; Stanisz et al., MRM 54:507, 2005; brain: Rooney et al., MRM 57:308, 2007);
  ``proton_density`` relative to water, from the water (and mobile lipid) contents in Woodard & White.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from medsynth_lib.data.classes import class_number


@dataclass(frozen=True)
class Tissue:
    """One row of the table; see the module's docstring for units and sources."""

    name: str
    label: str
    material: str
    density: float
    spread_hu: float
    texture_hu: float
    arterial: float
    portal: float
    suv: float
    suv_cv: float
    t1_ms: float
    t2_ms: float
    proton_density: float

    @property
    def number(self) -> int:
        """The class number in label maps."""
        return class_number(self.label)


_ROWS = """
air               | Background       | air           | .0012 |  0 |  0 |   0 |   0 | 0.00 | .00 |    1 |    1 | .00
couch shell       | Background       | carbon fibre  | .98   |  0 |  0 |   0 |   0 | 0.00 | .00 |    1 |    1 | .00
couch foam        | Background       | foam          | .05   |  0 |  0 |   0 |   0 | 0.00 | .00 |    1 |    1 | .00
cloth             | Background       | cotton        | .25   |  0 | 40 |   0 |   0 | 0.00 | .00 |    1 |    1 | .00
skin              | Skin             | skin          | 1.05  | 10 |  5 |   5 |  15 | 0.60 | .20 |  900 |   30 | .60
fat               | Fat              | adipose       | .93   |  5 |  6 |   0 |   2 | 0.30 | .25 |  288 |  165 | .90
fibrous fat       | Fat              | adipose       | .95   |  6 | 12 |   1 |   4 | 0.35 | .25 |  320 |  150 | .90
breast gland      | Fat              | muscle        | 1.02  |  8 |  8 |   5 |  15 | 0.80 | .25 |  900 |   50 | .80
muscle            | Skeletal Muscle  | muscle        | 1.056 |  8 |  8 |   6 |  16 | 0.70 | .18 | 1130 |   35 | .75
soft tissue       | Skeletal Muscle  | muscle        | 1.045 |  6 |  7 |  20 |  35 | 1.10 | .20 | 1300 |   85 | .80
thyroid           | Skeletal Muscle  | thyroid       | 1.05  | 15 |  6 | 110 |  90 | 1.30 | .25 | 1000 |   75 | .80
autochthon        | Autochthon       | muscle        | 1.042 | 14 | 12 |   6 |  16 | 0.65 | .18 | 1130 |   35 | .75
iliopsoas         | Iliopsoas        | muscle        | 1.055 |  9 |  7 |   6 |  16 | 0.65 | .18 | 1130 |   35 | .75
lung              | Lung             | lung          | .19   | 40 | 22 |   8 |  12 | 0.50 | .20 | 1200 |    5 | .18
lung vessel       | Lung             | blood         | 1.05  |  4 |  4 | 260 | 112 | 1.50 | .18 | 1441 |  180 | .75
bronchus          | Lung             | air           | .06   |  0 |  0 |   0 |   0 | 0.10 | .00 |    1 |    1 | .00
airway wall       | Trachea          | cartilage     | 1.04  | 10 |  6 |   8 |  20 | 0.90 | .20 | 1000 |   35 | .60
airway            | Trachea          | air           | .0012 |  0 |  0 |   0 |   0 | 0.05 | .00 |    1 |    1 | .00
oesophagus        | Esophagus        | muscle        | 1.045 |  7 |  6 |  20 |  35 | 1.50 | .25 | 1000 |   50 | .80
oesophagus air    | Esophagus        | air           | .0012 |  0 |  0 |   0 |   0 | 0.20 | .00 |    1 |    1 | .00
myocardium        | Heart            | heart         | 1.05  |  5 |  5 |  80 |  75 | 3.00 | .75 | 1030 |   45 | .80
heart blood       | Heart            | blood         | 1.048 |  4 |  4 | 270 | 115 | 1.60 | .18 | 1441 |  200 | .85
artery            | Vessels          | blood         | 1.048 |  4 |  4 | 300 | 115 | 1.60 | .18 | 1441 |  200 | .85
vein              | Vessels          | blood         | 1.048 |  4 |  4 |  70 | 112 | 1.60 | .18 | 1441 |  180 | .85
portal vein       | Vessels          | blood         | 1.048 |  4 |  4 |  50 | 125 | 1.60 | .18 | 1441 |  180 | .85
calcification     | Vessels          | cortical bone | 1.30  |100 | 60 |   0 |   0 | 1.20 | .20 |  500 |    2 | .15
pulmonary artery  | Pulmonary Artery | blood         | 1.048 |  4 |  4 | 270 | 112 | 1.60 | .18 | 1441 |  200 | .85
liver             | Liver            | liver         | 1.063 |  9 |  5 |  15 |  52 | 2.20 | .18 |  586 |   46 | .72
liver vessel      | Liver            | blood         | 1.050 |  4 |  4 |  40 | 125 | 1.80 | .18 | 1441 |  150 | .80
gallbladder       | Gallbladder      | bile          | 1.008 |  9 |  2 |   0 |   1 | 0.70 | .30 | 2200 |  400 | .95
gallbladder wall  | Gallbladder      | muscle        | 1.04  |  5 |  3 |  15 |  40 | 1.20 | .25 | 1000 |   60 | .80
spleen            | Spleen           | spleen        | 1.048 |  7 |  5 |  80 |  70 | 1.80 | .18 | 1057 |   79 | .80
pancreas          | Pancreas         | pancreas      | 1.042 | 20 | 16 |  65 |  55 | 1.50 | .20 |  584 |   46 | .75
adrenal           | Adrenal          | muscle        | 1.018 | 14 |  6 |  25 |  45 | 1.50 | .20 |  700 |   60 | .75
renal cortex      | Kidney           | kidney        | 1.035 |  7 |  4 | 130 | 160 | 2.60 | .20 |  966 |   87 | .80
renal medulla     | Kidney           | kidney        | 1.032 |  7 |  4 |  45 | 145 | 3.20 | .25 | 1412 |   85 | .85
renal pelvis      | Kidney           | urine         | 1.008 |  5 |  3 |   0 |   8 | 9.00 | .55 | 3500 |  700 | .98
stomach wall      | Stomach          | gut           | 1.045 |  7 |  6 |  30 |  50 | 2.20 | .30 | 1000 |   60 | .80
stomach content   | Stomach          | water         | 1.015 | 12 | 12 |   0 |   0 | 0.50 | .30 | 2500 |  300 | .95
stomach gas       | Stomach          | air           | .0012 |  0 |  0 |   0 |   0 | 0.10 | .00 |    1 |    1 | .00
duodenum wall     | Duodenum         | gut           | 1.042 |  7 |  6 |  30 |  50 | 1.80 | .30 | 1000 |   60 | .80
duodenum content  | Duodenum         | water         | 1.015 | 10 |  8 |   0 |   2 | 0.90 | .30 | 2000 |  200 | .90
duodenum gas      | Duodenum         | air           | .0012 |  0 |  0 |   0 |   0 | 0.20 | .00 |    1 |    1 | .00
bowel wall        | Small Bowel      | gut           | 1.042 |  7 |  6 |  35 |  55 | 1.70 | .30 | 1000 |   60 | .80
bowel content     | Small Bowel      | water         | 1.018 | 10 | 10 |   0 |   2 | 1.00 | .30 | 1800 |  200 | .90
bowel gas         | Small Bowel      | air           | .0012 |  0 |  0 |   0 |   0 | 0.20 | .00 |    1 |    1 | .00
colon wall        | Colon            | gut           | 1.042 |  7 |  6 |  25 |  45 | 1.60 | .40 | 1000 |   60 | .80
stool             | Colon            | muscle        | .98   | 60 | 70 |   0 |   0 | 0.80 | .30 |  700 |   60 | .60
colon gas         | Colon            | air           | .0012 |  0 |  0 |   0 |   0 | 0.20 | .00 |    1 |    1 | .00
urine             | Urinary Bladder  | water         | 1.006 |  4 |  2 |   0 |   2 |14.00 | .60 | 3800 |  900 | 1.0
bladder wall      | Urinary Bladder  | muscle        | 1.035 |  5 |  4 |  15 |  30 | 2.00 | .30 | 1000 |   60 | .80
cortical bone     | Vertebrae        | cortical bone | 1.55  | 90 | 60 |   2 |   5 | 0.60 | .25 |  400 |    1 | .12
red marrow bone   | Vertebrae        | red marrow    | 1.17  | 45 | 28 |   8 |  18 | 1.50 | .22 |  549 |   49 | .75
yellow marrow bone| Femur            | yellow marrow | 1.08  | 40 | 28 |   2 |   6 | 0.60 | .25 |  288 |  165 | .80
disc              | Vertebrae        | cartilage     | 1.085 | 10 |  8 |   2 |   8 | 0.60 | .20 | 1000 |   70 | .75
cord              | Vertebrae        | white matter  | 1.035 |  4 |  3 |   3 |   6 | 1.90 | .18 |  745 |   74 | .75
spinal fluid      | Vertebrae        | csf           | 1.010 |  3 |  3 |   0 |   1 | 0.50 | .20 | 3800 | 1000 | 1.0
epidural fat      | Vertebrae        | adipose       | .96   |  6 |  6 |   0 |   2 | 0.50 | .25 |  288 |  165 | .90
grey matter       | Grey Matter      | grey matter   | 1.035 |  2 |  2 |   4 |   6 | 8.00 | .18 | 1188 |   95 | .82
deep grey matter  | Grey Matter      | grey matter   | 1.036 |  2 |  2 |   4 |   6 | 9.00 | .18 | 1000 |   85 | .80
white matter      | White Matter     | white matter  | 1.030 |  2 |  2 |   2 |   3 | 2.80 | .18 |  656 |   72 | .70
brainstem         | White Matter     | white matter  | 1.032 |  2 |  2 |   3 |   4 | 4.50 | .18 |  720 |   76 | .72
cerebrospinal fluid| CSF             | csf           | 1.005 |  2 |  2 |   0 |   1 | 0.80 | .20 | 3800 | 1000 | 1.0
ventricle         | Ventricles       | csf           | 1.003 |  2 |  2 |   0 |   1 | 0.60 | .20 | 3900 | 1200 | 1.0
dura              | CSF              | muscle        | 1.055 |  4 |  4 |  25 |  35 | 1.00 | .20 |  900 |   40 | .60
vitreous          | Eyes             | water         | 1.008 |  2 |  2 |   0 |   0 | 0.40 | .20 | 3800 |  900 | 1.0
lens              | Eyes             | lens          | 1.085 |  6 |  3 |   0 |   0 | 0.80 | .20 |  900 |   30 | .65
sclera            | Eyes             | muscle        | 1.060 |  5 |  4 |  12 |  25 | 1.50 | .20 |  900 |   40 | .70
optic nerve       | Eyes             | white matter  | 1.030 |  4 |  4 |   3 |   6 | 2.00 | .20 |  750 |   75 | .70
sinus air         | Air Spaces       | air           | .0012 |  0 |  0 |   0 |   0 | 0.05 | .00 |    1 |    1 | .00
mucosa            | Air Spaces       | muscle        | 1.035 |  6 |  6 |  40 |  55 | 1.80 | .25 | 1000 |   90 | .85
tongue            | Skeletal Muscle  | muscle        | 1.045 |  6 |  9 |  15 |  30 | 2.00 | .30 |  900 |   45 | .78
gland             | Skeletal Muscle  | muscle        | 1.005 | 12 |  9 |  20 |  35 | 2.00 | .30 |  650 |   60 | .80
tooth             | Skull            | enamel        | 2.00  |100 | 80 |   0 |   0 | 0.40 | .20 |  400 |    1 | .05
dense bone        | Skull            | cortical bone | 1.85  | 90 | 60 |   0 |   0 | 0.50 | .20 |  400 |    1 | .08
liver lesion      | Liver            | liver         | 1.035 | 10 |  6 |  10 |  22 | 7.50 | .50 | 1100 |   80 | .80
lung nodule       | Lung             | muscle        | 1.035 |  8 |  6 |  20 |  35 | 7.00 | .60 | 1100 |   70 | .80
sarcoma           | Skeletal Muscle  | muscle        | 1.035 |  8 | 12 |  18 |  35 | 8.00 | .75 | 1200 |   85 | .85
brain metastasis  | White Matter     | grey matter   | 1.025 |  3 |  3 |   6 |   8 | 6.00 | .40 | 1300 |  110 | .85
brain metastasis rim| White Matter   | grey matter   | 1.035 |  3 |  3 |  30 |  45 | 9.00 | .40 | 1100 |   95 | .82
costal cartilage  | Ribs             | cartilage     | 1.09  | 15 | 12 |   2 |   5 | 0.50 | .20 | 1024 |   30 | .65
"""


def _parse(row: str) -> Tissue:
    name, label, material, *numbers = (cell.strip() for cell in row.split("|"))
    return Tissue(name, label, material, *(float(number) for number in numbers))


def _with_bones(rows: list[Tissue]) -> list[Tissue]:
    """One cortex and one marrow for every bone class: same physics, another label."""
    by_name = {row.name: row for row in rows}
    bones = []
    for label in ("Ribs", "Humerus", "Scapula", "Clavicula", "Femur", "Hips", "Sacrum", "Skull"):
        bones.append(replace(by_name["cortical bone"], name=f"{label} cortex", label=label))
        marrow = "yellow marrow bone" if label in ("Humerus", "Femur") else "red marrow bone"
        bones.append(replace(by_name[marrow], name=f"{label} marrow", label=label))
    arm = [
        replace(by_name[name], name=f"arm {name}", label="Background")
        for name in ("skin", "fat", "muscle", "cortical bone", "yellow marrow bone")
    ]
    return rows + bones + arm


#: The table, in the order of the tissue numbers that ``anatomy`` paints with.
TISSUES: tuple[Tissue, ...] = tuple(_with_bones([_parse(row) for row in _ROWS.strip().splitlines()]))
#: Tissue name -> its number in a tissue map.
CODE: dict[str, int] = {tissue.name: code for code, tissue in enumerate(TISSUES)}
