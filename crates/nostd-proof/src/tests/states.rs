//! Tables: every block state with every event, and every kind of answer with what it comes to.
//!
//! Both are written out a second time here, as plain data.

use crate::bench::Bench;
use crate::check::{Outcome, equal};
use alloc::string::String;
use memplug_core::{Answer, BlockEvent, BlockState, Errno};

pub fn every_state_with_every_event(_: &mut Bench) -> Outcome {
    use BlockState::{GoingOffline, GoingOnline, Offline, Online};
    // Columns: BeginOnline, CancelOnline, CompleteOnline, BeginOffline, CancelOffline,
    // CompleteOffline.
    #[rustfmt::skip]
    let table = [
        (Offline,      [Some(GoingOnline), None, None, None, None, None]),
        (GoingOnline,  [None, Some(Offline), Some(Online), None, None, None]),
        (Online,       [None, None, None, Some(GoingOffline), None, None]),
        (GoingOffline, [None, None, None, None, Some(Online), Some(Offline)]),
    ];
    let events = [
        BlockEvent::BeginOnline,
        BlockEvent::CancelOnline,
        BlockEvent::CompleteOnline,
        BlockEvent::BeginOffline,
        BlockEvent::CancelOffline,
        BlockEvent::CompleteOffline,
    ];
    equal(BlockState::ALL, table.map(|(state, _)| state))?;
    equal(BlockEvent::ALL, events)?;
    for (state, row) in table {
        equal(events.map(|event| state.after(event)), row)?;
    }
    let words = BlockState::ALL.map(BlockState::word);
    equal(words, ["offline", "offline", "online", "going-offline"])
}

pub fn answers_as_a_kernel_reads_them(_: &mut Bench) -> Outcome {
    let refusal = Answer::Refuse(Errno::ENOMEM, String::new());
    for (answer, raw, stops, error) in [
        (Answer::Done, 0, false, None),
        (Answer::Ok, 1, false, None),
        (Answer::Stop, 0x8001, true, None),
        (Answer::Bad, 0x8002, true, Some(Errno::EPERM)),
        (refusal, 0x800d, true, Some(Errno::ENOMEM)),
        (Answer::Raw(2), 2, false, Some(Errno::EPERM)),
        (Answer::Raw(0xffff_fff4), 0xffff_fff4, true, None),
    ] {
        equal(
            (answer.raw(), answer.stops(), answer.error()),
            (raw, stops, error),
        )?;
    }
    Ok(())
}
