//! "Did you mean": the nearest known name to an unknown one.

/// The candidate that differs by few edits, if there is one. Letter case counts as no edit.
pub(super) fn nearest<'a>(unknown: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let unknown: Vec<char> = unknown.to_lowercase().chars().collect();
    let allowed = (unknown.len() / 3).clamp(1, 3);
    candidates
        .filter_map(|candidate| {
            let chars: Vec<char> = candidate.to_lowercase().chars().collect();
            let near = chars.len().abs_diff(unknown.len()) <= allowed;
            near.then(|| (distance(&unknown, &chars), candidate)).filter(|(edits, _)| *edits <= allowed)
        })
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, substitutions and swaps of neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let substitute = last[j] + usize::from(a[i] != b[j]);
            let mut edits = substitute.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                edits = edits.min(before[j - 1] + 1);
            }
            row.push(edits);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_near_names_only() {
        let known = ["validate_order", "charge", "ship"];
        for (unknown, expected) in [
            ("validate_oder", Some("validate_order")),
            ("Charge", Some("charge")),
            ("chagre", Some("charge")),
            ("shop", Some("ship")),
            ("refund", None),
            ("", None),
        ] {
            assert_eq!(nearest(unknown, known.into_iter()), expected, "{unknown}");
        }
    }
}
