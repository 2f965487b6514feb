//! Every single failure of every transaction, on every kind of machine.
//!
//! Exhaustive, not random: the cases are worked out from a run without a failure. That none was
//! forgotten is asserted at the end.

use memplug_core::Step;
use memplug_sim::{Fallible, Kind, settings, try_all};
use std::collections::BTreeMap;

#[test]
fn every_single_failure_is_undone_and_told_rightly() {
    let mut cases = 0;
    let mut calls = BTreeMap::<Fallible, usize>::new();
    for setting in settings() {
        for kind in Kind::ALL {
            match try_all(setting, kind) {
                Ok(tried) => {
                    cases += tried.cases;
                    for (at, times) in tried.calls {
                        *calls.entry(at).or_default() += times;
                    }
                }
                Err(what) => panic!("{setting:?}: {what}"),
            }
        }
    }
    // Nothing was left out.
    let steps = Step::ALL.map(Fallible::Step);
    let others = [Fallible::Attach, Fallible::Commit, Fallible::Discard];
    for at in steps.into_iter().chain(others) {
        assert!(calls.contains_key(&at), "{at:?} never failed");
    }
    assert!(cases > 1500, "only {cases} cases");
}
