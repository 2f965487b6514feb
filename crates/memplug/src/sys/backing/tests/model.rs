//! Random lives of a backing against a model that knows, of each page, whether it has memory and
//! what is in it.

use crate::sys::scratch::{read, single_pages_only, write};
use crate::sys::{Access, Arena, Backing, BackingKind, Place};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Write(u64, u8),
    Commit(u64, u64),
    Discard(u64, u64),
    Remap,
}

const PAGES: u64 = 64;

fn step() -> impl Strategy<Value = Step> {
    let pages = || (0..PAGES, 1..=PAGES).prop_map(|(start, len)| (start, (start + len).min(PAGES)));
    prop_oneof![
        4 => (0..PAGES, 1..=u8::MAX).prop_map(|(page, byte)| Step::Write(page, byte)),
        2 => pages().prop_map(|(start, end)| Step::Commit(start, end)),
        2 => pages().prop_map(|(start, end)| Step::Discard(start, end)),
        1 => Just(Step::Remap),
    ]
}

/// One page of the model: has it memory, and what is in it.
type Model = [(bool, u8); PAGES as usize];

fn follow(kind: BackingKind, steps: &[Step]) -> Result<(), TestCaseError> {
    let page = rustix::param::page_size() as u64;
    let arena = Arena::reserve(2 * PAGES * page).expect("an arena");
    // Pages are counted one by one here, so that a size with no room for a huge page is chosen.
    let backing = Backing::create(kind.clone(), PAGES * page).expect("a backing");
    let map = || {
        arena
            .map(page, &backing, Access::ReadWrite)
            .expect("a mapping")
    };
    let place = Place {
        arena: &arena,
        base: page,
    };
    map();
    let exact = single_pages_only();
    let mut model: Model = [(false, 0); PAGES as usize];
    for step in steps {
        match *step {
            Step::Write(at, byte) => {
                write(&arena, page + at * page, &vec![byte; page as usize]);
                model[at as usize] = (true, byte);
            }
            Step::Commit(start, end) => {
                backing
                    .commit_now(place, start * page..end * page)
                    .expect("memory");
                model[start as usize..end as usize]
                    .iter_mut()
                    .for_each(|page| page.0 = true);
            }
            Step::Discard(start, end) => {
                backing
                    .discard(place, start * page..end * page)
                    .expect("given back");
                model[start as usize..end as usize].fill((false, 0));
            }
            Step::Remap => {
                arena.unmap(page, PAGES * page).expect("unmapped");
                map();
                if kind == BackingKind::Anonymous {
                    model.fill((false, 0));
                }
            }
        }
        // Counted before anything is read, since reading a hole gives it memory.
        let expected = model.iter().filter(|page| page.0).count() as u64 * page;
        let counted = backing.allocated_bytes(place).expect("a count");
        if exact {
            prop_assert_eq!(counted, expected);
        } else {
            prop_assert!(counted >= expected);
        }
    }
    for (at, (_, byte)) in (0..PAGES).zip(model) {
        prop_assert!(
            read(&arena, page + at * page, page as usize)
                .iter()
                .all(|found| *found == byte)
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn memory_file_follows_a_model(steps in prop::collection::vec(step(), 1..40)) {
        follow(BackingKind::Memfd, &steps)?;
    }

    #[test]
    fn anonymous_follows_a_model(steps in prop::collection::vec(step(), 1..40)) {
        follow(BackingKind::Anonymous, &steps)?;
    }
}
