//! Refusals on demand: a small stand-in for the kernel's error injection for memory notifiers.
//!
//! Two files take an errno as a negative number; while either is not 0 a subscriber of priority
//! 0 refuses that event with it. With both at 0 nobody is on the chain.

use memplug_control::{Answer, Control, Guard, MemoryEvent, SubscriberSpec, unsigned_of};
use rustix::io::Errno;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

const MAX_ERRNO: u64 = 4095;

#[derive(Default)]
struct Wanted {
    online: AtomicI64,
    offline: AtomicI64,
}

impl Wanted {
    fn of(&self, online: bool) -> &AtomicI64 {
        if online { &self.online } else { &self.offline }
    }
}

pub(super) struct Injector {
    control: Arc<dyn Control>,
    wanted: Arc<Wanted>,
    place: Mutex<Option<Guard>>,
}

/// A whole number with a sign, brought to between -4095 and 0.
fn errno_of(text: &[u8]) -> Option<i64> {
    let Some(digits) = text.strip_prefix(b"-") else {
        return unsigned_of(text, u64::MAX).ok().map(|_| 0);
    };
    if digits.starts_with(b"+") {
        return None;
    }
    let number = unsigned_of(digits, i64::MAX.unsigned_abs()).ok()?;
    i64::try_from(number.min(MAX_ERRNO))
        .ok()
        .map(|number| -number)
}

impl Injector {
    pub(super) fn new(control: Arc<dyn Control>) -> Self {
        Self {
            control,
            wanted: Arc::default(),
            place: Mutex::default(),
        }
    }

    pub(super) fn get(&self, online: bool) -> i64 {
        self.wanted.of(online).load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, online: bool, text: &[u8]) -> Result<(), Errno> {
        let errno = errno_of(text).ok_or(Errno::INVAL)?;
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        let other = self.get(!online);
        if place.is_none() && errno != 0 {
            *place = Some(self.subscribe()?);
        }
        self.wanted.of(online).store(errno, Ordering::Relaxed);
        if errno == 0 && other == 0 {
            *place = None;
        }
        Ok(())
    }

    fn subscribe(&self) -> Result<Guard, Errno> {
        let wanted = self.wanted.clone();
        let spec = SubscriberSpec::new("memory-notifier-error-inject", 0);
        let callback = Box::new(move |notice: &memplug_control::Notice| {
            let errno = match notice.event {
                MemoryEvent::GoingOnline => wanted.online.load(Ordering::Relaxed),
                MemoryEvent::GoingOffline => wanted.offline.load(Ordering::Relaxed),
                _ => 0,
            };
            match u16::try_from(errno.unsigned_abs()) {
                Ok(errno @ 1..) => Answer::Refuse {
                    errno,
                    reason: "told to by the error injection file".into(),
                },
                _ => Answer::Ok,
            }
        });
        let subscribed = self.control.subscribe(&spec, callback);
        subscribed.map_err(|_| Errno::AGAIN)
    }
}
