"""The numbers in label maps: the 31 classes of the course's torso, and the ones a head adds."""

from __future__ import annotations

#: Class names by number: 31 groups of TotalSegmentator's structures, as used for SynthRAD2023 label maps.
TORSO_CLASSES = (
    "Background", "Kidney", "Vessels", "Gallbladder", "Liver", "Stomach", "Pancreas", "Adrenal", "Lung", "Vertebrae",
    "Esophagus", "Trachea", "Heart", "Pulmonary Artery", "Small Bowel", "Duodenum", "Colon", "Ribs", "Humerus",
    "Scapula", "Clavicula", "Femur", "Hips", "Sacrum", "Autochthon", "Iliopsoas", "Urinary Bladder", "Skin", "Spleen",
    "Fat", "Skeletal Muscle",
)  # fmt: skip

#: A head keeps the torso's numbers (Vessels, Vertebrae, Skin, Fat, Skeletal Muscle) and goes on from 31.
HEAD_CLASSES = (
    *TORSO_CLASSES, "Skull", "Grey Matter", "White Matter", "CSF", "Ventricles", "Eyes", "Air Spaces",
)  # fmt: skip


def class_number(name: str) -> int:
    """The number of a class, by its name in ``HEAD_CLASSES``."""
    return HEAD_CLASSES.index(name)


#: TotalSegmentator v2 "total" numbers (its class map, Wasserthal et al. 2023) grouped into the 31 classes. Costal
#: cartilage and sternum go with the ribs, the spinal cord with the vertebrae around it: the 31 have no class for
#: them. Version 2 knows no pulmonary artery.
TOTALSEGMENTATOR = {
    "Spleen": (1,), "Kidney": (2, 3, 23, 24), "Gallbladder": (4,), "Liver": (5,), "Stomach": (6,), "Pancreas": (7,),
    "Adrenal": (8, 9), "Lung": (10, 11, 12, 13, 14), "Esophagus": (15,), "Trachea": (16,), "Small Bowel": (18,),
    "Duodenum": (19,), "Colon": (20,), "Urinary Bladder": (21,), "Sacrum": (25, 26),
    "Vertebrae": (*range(27, 51), 79), "Heart": (51, 61), "Vessels": (*range(52, 61), *range(62, 69)),
    "Humerus": (69, 70), "Scapula": (71, 72), "Clavicula": (73, 74), "Femur": (75, 76),
    "Hips": (77, 78), "Skeletal Muscle": tuple(range(80, 86)), "Autochthon": (86, 87), "Iliopsoas": (88, 89),
    "Skull": (91,), "Ribs": tuple(range(92, 118)),
}  # fmt: skip
