"""What the numbers of other people's label maps mean, and which class of the course each structure belongs to.

Every number of a scheme is in exactly one of ``classes`` and ``unmapped``. TotalSegmentator's structures are listed as
data: the package is heavy, and a test compares the list with its own where it is installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from medsynth_lib.data.classes import TOTALSEGMENTATOR

#: TotalSegmentator v2 task "total", from number 1 on (Wasserthal et al. 2023; its class map, 2.0 to 2.18).
TOTAL_NAMES = (
    "spleen kidney_right kidney_left gallbladder liver stomach pancreas adrenal_gland_right adrenal_gland_left "
    "lung_upper_lobe_left lung_lower_lobe_left lung_upper_lobe_right lung_middle_lobe_right lung_lower_lobe_right "
    "esophagus trachea thyroid_gland small_bowel duodenum colon urinary_bladder prostate kidney_cyst_left "
    "kidney_cyst_right sacrum vertebrae_S1 vertebrae_L5 vertebrae_L4 vertebrae_L3 vertebrae_L2 vertebrae_L1 "
    "vertebrae_T12 vertebrae_T11 vertebrae_T10 vertebrae_T9 vertebrae_T8 vertebrae_T7 vertebrae_T6 vertebrae_T5 "
    "vertebrae_T4 vertebrae_T3 vertebrae_T2 vertebrae_T1 vertebrae_C7 vertebrae_C6 vertebrae_C5 vertebrae_C4 "
    "vertebrae_C3 vertebrae_C2 vertebrae_C1 heart aorta pulmonary_vein brachiocephalic_trunk subclavian_artery_right "
    "subclavian_artery_left common_carotid_artery_right common_carotid_artery_left brachiocephalic_vein_left "
    "brachiocephalic_vein_right atrial_appendage_left superior_vena_cava inferior_vena_cava "
    "portal_vein_and_splenic_vein iliac_artery_left iliac_artery_right iliac_vena_left iliac_vena_right humerus_left "
    "humerus_right scapula_left scapula_right clavicula_left clavicula_right femur_left femur_right hip_left hip_right "
    "spinal_cord gluteus_maximus_left gluteus_maximus_right gluteus_medius_left gluteus_medius_right "
    "gluteus_minimus_left gluteus_minimus_right autochthon_left autochthon_right iliopsoas_left iliopsoas_right brain "
    "skull rib_left_1 rib_left_2 rib_left_3 rib_left_4 rib_left_5 rib_left_6 rib_left_7 rib_left_8 rib_left_9 "
    "rib_left_10 rib_left_11 rib_left_12 rib_right_1 rib_right_2 rib_right_3 rib_right_4 rib_right_5 rib_right_6 "
    "rib_right_7 rib_right_8 rib_right_9 rib_right_10 rib_right_11 rib_right_12 sternum costal_cartilages"
)

#: Task "total_mr" as it is numbered now (2.18). Until 2.4 it had 56 structures, other numbers from 32 on.
TOTAL_MR_NAMES = (
    "spleen kidney_right kidney_left gallbladder liver stomach pancreas adrenal_gland_right adrenal_gland_left "
    "lung_left lung_right esophagus small_bowel duodenum colon urinary_bladder prostate sacrum vertebrae "
    "intervertebral_discs spinal_cord heart aorta inferior_vena_cava portal_vein_and_splenic_vein iliac_artery_left "
    "iliac_artery_right iliac_vena_left iliac_vena_right humerus_left humerus_right scapula_left scapula_right "
    "clavicula_left clavicula_right femur_left femur_right hip_left hip_right gluteus_maximus_left "
    "gluteus_maximus_right gluteus_medius_left gluteus_medius_right gluteus_minimus_left gluteus_minimus_right "
    "autochthon_left autochthon_right iliopsoas_left iliopsoas_right brain"
)

NO_CLASS = "the course has no class for it"
UNDIVIDED_BRAIN = "one number for the whole brain: grey and white matter cannot be told apart"


@dataclass(frozen=True)
class Scheme:
    """One way of numbering structures.

    Args:
        title: as in a report.
        classes: class of the course → the numbers that become it.
        unmapped: number → why it becomes none of the classes.
        names: number → structure, where the scheme publishes a list we hold.
    """

    title: str
    classes: Mapping[str, tuple[int, ...]]
    unmapped: Mapping[int, str]
    names: Mapping[int, str]


_TOTAL_MR = {
    "Spleen": (1,), "Kidney": (2, 3), "Gallbladder": (4,), "Liver": (5,), "Stomach": (6,), "Pancreas": (7,),
    "Adrenal": (8, 9), "Lung": (10, 11), "Esophagus": (12,), "Small Bowel": (13,), "Duodenum": (14,), "Colon": (15,),
    "Urinary Bladder": (16,), "Sacrum": (18,), "Vertebrae": (19, 20, 21), "Heart": (22,),
    "Vessels": tuple(range(23, 30)), "Humerus": (30, 31), "Scapula": (32, 33), "Clavicula": (34, 35), "Femur": (36, 37),
    "Hips": (38, 39), "Skeletal Muscle": tuple(range(40, 46)), "Autochthon": (46, 47), "Iliopsoas": (48, 49),
}  # fmt: skip

#: FreeSurfer's colour table: aseg, then the cortical parcellations (aparc 1000 and 2000, a2009s 11100 and 12100), white
#: matter parcels (wmparc) and SAMSEG's outer structures. The deep grey nuclei are grey matter and the brain stem and
#: ventral diencephalon white, as in the phantom; vessels of the brain and its lining are CSF's neighbours, not classes.
_ASEG = {
    "White Matter": (2, 7, 16, 28, 41, 46, 60, 77, 78, 79, 85, 86, 192, 219, *range(250, 256), *range(3000, 3036),
                     *range(4000, 4036), 5001, 5002),
    "Grey Matter": (3, *range(8, 14), 17, 18, 19, 20, 26, 27, 42, *range(47, 57), 58, 59, 80, 81, 82, 96, 97, 138, 139,
                    *range(1000, 1036), *range(2000, 2036), *range(11100, 11176), *range(12100, 12176)),
    "Ventricles": (4, 5, 14, 15, 31, 43, 44, 63, 72, 75, 76, 213, 221),
    "CSF": (24, 122, 257), "Vessels": (30, 62), "Skull": (165,),
}  # fmt: skip
_ASEG_UNMAPPED = {
    1: "an outline, no tissue", 6: "an outline, no tissue", 40: "an outline, no tissue", 45: "an outline, no tissue",
    25: "a lesion of unknown tissue", 57: "a lesion of unknown tissue", 29: "undetermined", 61: "undetermined",
    98: NO_CLASS, 258: "all of the head outside the skull in one",
}  # fmt: skip

#: SynthSeg's output is FreeSurfer's numbers; the label maps it is trained on add the head's outside, 500 and up, as
#: SimNIBS' CHARM numbers it. What CHARM calls other tissue is mostly muscle and has no class of its own. 136, 137, 163
#: and 164 lie inside the ventricles of all three published maps: choroid plexus; 25 and 57 in white matter beside them.
_SYNTHSEG_MORE = {
    "White Matter": (25, 57, 530), "Ventricles": (136, 137, 163, 164), "Vessels": (502, 514), "Eyes": (506,),
    "Skeletal Muscle": (507, 508, 509), "Skin": (511,), "Vertebrae": (512,), "Skull": (515, 516),
}  # fmt: skip
_SYNTHSEG = {
    name: (*_ASEG.get(name, ()), *_SYNTHSEG_MORE.get(name, ())) for name in dict.fromkeys((*_ASEG, *_SYNTHSEG_MORE))
}
_SYNTHSEG_UNMAPPED = {number: why for number, why in _ASEG_UNMAPPED.items() if number not in (25, 57)}

SCHEMES = {
    "totalsegmentator": Scheme(
        "TotalSegmentator v2, task total",
        TOTALSEGMENTATOR,
        {17: NO_CLASS, 22: NO_CLASS, 90: UNDIVIDED_BRAIN},
        dict(enumerate(TOTAL_NAMES.split(), 1)),
    ),
    "totalsegmentator-mr": Scheme(
        "TotalSegmentator v2, task total_mr",
        _TOTAL_MR,
        {17: NO_CLASS, 50: UNDIVIDED_BRAIN},
        dict(enumerate(TOTAL_MR_NAMES.split(), 1)),
    ),
    "freesurfer": Scheme("FreeSurfer aseg", _ASEG, _ASEG_UNMAPPED, {}),
    "synthseg": Scheme("SynthSeg", _SYNTHSEG, _SYNTHSEG_UNMAPPED, {}),
}
