//! Materials and sides of real names: some of the USGS spectral library, version 7 (public domain).

use std::collections::BTreeMap;

use spectral::Axis;
use spectral::data::{Library, MaterialRule, Spectrum, SplitRule};

/// Names of some materials' spectra, by what was measured.
const NAMES: [(&str, &[&str]); 14] = [
    ("actinolite", &["Actinolite HS116.1B", "Actinolite HS22.4B", "Actinolite HS315.2B"]),
    (
        "alunite",
        &[
            "Alunite HS295.1B",
            "Alunite HS295",
            "Alunite-K CU91-217G1 HiTemp",
            "Alunite K-Na CU91-217H1 LowT",
            "Alunite+Dickite MV99-6-26b",
            "Alun Na+Kaol+Hemat MV00-11a",
            "Kalun+kaol+gth mv2-ar3",
        ],
    ),
    ("beryl", &["Beryl HS180.1B", "Beryl HS180.2B", "Beryl HS180.4B", "Beryl HS180.6"]),
    (
        "chlorite",
        &[
            "Chlorite HS179.1B",
            "Chl.33+Epid.33+Cal.33 GDS319",
            "Chlor.2+Epid.6+Calc.2 GDS312",
            "Chlorit.33+Calcite.67 GDS315",
        ],
    ),
    ("iron", &["Iron oxide #4820 GDS782", "Iron Oxide SA-480665 gamma"]),
    ("leafy", &["LeafySpurge Spurge-A1-Jul98", "LeafySpurge Spurge-A1-Oct97"]),
    (
        "marsh",
        &[
            "Marsh SPAL50%...a CRMS322v52",
            "Marsh water CRMS121v69-glint",
            "MarshWater CRMS121v69-NoGlnt",
        ],
    ),
    ("melting", &["Melting snow mSnw01a+0.5 veg", "Melting snow mSnw12 (slush)"]),
    ("oil", &["Oil01 Water99 DWH10-3 28mm", "Oil40 Water60 DWH10-3 0.5 mm"]),
    ("p.aus", &["P.aus. DWO-3-DEL-2d dryNPV.a", "P.australis CRMS-0153 dryNPV"]),
    ("rangeland", &["Rangeland C03-004 S08% G27%", "Rangeland L04-096 S00% G45%"]),
    ("s.alt", &["S.altern. DWV1-0511 NPV.a", "S.alterniflora CRMS322 NPV"]),
    ("talc", &["Talc GDS23", "Talc HS21.1B"]),
    ("vermiculite", &["Vermiculite GDS327 expandOre", "Vermiculite+1wt%amph. GDS451"]),
];

fn library() -> Library {
    let materials = MaterialRule::default().compiled().unwrap();
    let axis = Axis::nm(vec![400.0, 500.0]).unwrap();
    let names = NAMES.iter().flat_map(|(_, names)| *names);
    names
        .map(|name| Spectrum::new(*name, materials.of(name), &axis, vec![0.1, 0.2]).unwrap())
        .collect()
}

#[test]
fn measurements_of_one_material_are_known_as_such() {
    let expected: BTreeMap<&str, usize> =
        NAMES.iter().map(|(material, names)| (*material, names.len())).collect();
    assert_eq!(library().materials(), expected);
}

#[test]
fn no_material_stands_on_both_sides_whatever_the_seed_and_the_part() {
    let n_all = library().len();
    let mut n_split = 0;
    for val_seed in 0..50 {
        for val_fraction in [0.1, 0.2, 0.5, 0.9] {
            let (train, val) = library().split(&SplitRule { val_fraction, val_seed });
            assert_eq!(train.len() + val.len(), n_all);
            assert!(train.materials().keys().all(|name| !val.materials().contains_key(name)));
            n_split += usize::from(!train.is_empty() && !val.is_empty());
        }
    }
    assert!(n_split > 150, "{n_split}");
}

#[test]
fn adding_spectra_moves_no_other() {
    let rule = SplitRule::default();
    let names = |library: &Library| -> Vec<String> {
        library.spectra().iter().map(|spectrum| spectrum.name.clone()).collect()
    };
    let (train, val) = library().split(&rule);
    let mut more = library();
    let axis = Axis::nm(vec![1.0, 2.0]).unwrap();
    more.extend((0..200).map(|i| {
        let name = format!("Added{i}");
        Spectrum::new(name.clone(), name, &axis, vec![0.0, 0.0]).unwrap()
    }));
    let (more_train, more_val) = more.split(&rule);
    assert_eq!(names(&more_train)[..train.len()], names(&train)[..]);
    assert_eq!(names(&more_val)[..val.len()], names(&val)[..]);
    assert!(more_train.len() > train.len() && more_val.len() > val.len());
}
