//! Some seeds, with every build: enough to see that the simulator gets everywhere.
//!
//! Many more are run by `memsim`. A seed that was once found to fail needs no place here: the
//! story of a seed changes whenever the simulator does.

use memplug_sim::{STEPS, run_seed};
use std::collections::BTreeMap;

/// What must happen now and then, or nothing is tested there.
const PLACES: [&str; 27] = [
    "add",
    "add: auto-online",
    "add: auto-online stopped",
    "add: cannot be",
    "add: no memory",
    "add: platform",
    "allocation refused",
    "migrate: gone",
    "migrate: offered",
    "offline: blocked",
    "offline: cancelled",
    "offline: deadline",
    "offline: empty",
    "offline: moved",
    "offline: platform",
    "offline: refused",
    "offline: released",
    "offline: with own map",
    "online: first of its node",
    "online: movable",
    "online: platform",
    "online: refused",
    "panic in a callback",
    "reclaimed",
    "remove",
    "unplug",
    "unplug: failed and put back",
];

#[test]
fn no_seed_breaks_a_promise_and_together_they_get_everywhere() {
    let mut reached = BTreeMap::<&str, u64>::new();
    for seed in 0..50 {
        match run_seed(seed, STEPS, false) {
            Ok(story) => {
                for (what, times) in story.reached {
                    *reached.entry(what).or_default() += times;
                }
            }
            Err(failure) => panic!("{failure}"),
        }
    }
    for place in PLACES {
        assert!(reached.contains_key(place), "never reached: {place}");
    }
}

/// A seed is a bug report only if it always tells the same story.
#[test]
fn a_seed_always_tells_the_same_story() {
    let story = || run_seed(7, 40, false).map(|story| story.reached).ok();
    assert!(story().is_some());
    assert_eq!(story(), story());
}
