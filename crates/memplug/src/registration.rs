//! A place on the notifier chain of a machine, and waiting for the call that is under way when it
//! is given up.
//!
//! A chain is called without a lock, so dropping a registration does not keep a call from going on
//! that has begun on another thread. An owner that must know that it is over (what the callback
//! works on is to go) closes the registration: the callback is not begun any more, and a call under
//! way is waited for.
//!
//! One word says which thread is in the callback. The calling thread writes it and then looks whether
//! the registration was closed; the closing thread says so and then looks at the word: one of the two
//! sees the other (I-NOTIFY-2). A machine has one transaction at a time, so that there is no more than
//! one call.
//!
//! Lock order: `waiting` is a leaf. The calling thread takes it only to wake the closing one.

use memplug_core::{Answer, Hotplug, Notice, SubscriberStats};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Somebody waits for the call to end.
const WAITED_FOR: usize = 1;

thread_local! {
    /// Its address is the thread's name, and is even.
    static ME: u64 = const { 0 };
}

/// The name of this thread.
fn me() -> usize {
    ME.with(|me| std::ptr::from_ref(me).addr())
}

#[derive(Debug, Default)]
struct Calls {
    /// The thread that is in the callback, and [`WAITED_FOR`]; 0: none is.
    inside: AtomicUsize,
    closed: AtomicBool,
    waiting: Mutex<()>,
    ended: Condvar,
}

/// A call under way.
struct Inside<'c>(&'c Calls);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        // Release: all that the callback did is over for the closing thread that finds 0.
        let inside = self.0.inside.swap(0, Ordering::AcqRel);
        if inside & WAITED_FOR != 0 {
            // The waiting thread either has not looked yet, or sleeps when we have this.
            drop(self.0.waiting.lock());
            self.0.ended.notify_all();
        }
    }
}

impl Calls {
    /// Calls, unless the registration was closed.
    fn call(&self, run: impl FnOnce() -> Answer) -> Answer {
        // SeqCst, as what follows: see the head of the file.
        self.inside.swap(me(), Ordering::SeqCst);
        let _inside = Inside(self);
        match self.closed.load(Ordering::SeqCst) {
            false => run(),
            // It left between the look of the chain and now.
            true => Answer::Done,
        }
    }

    /// Waits until no other thread is in the callback. Whether this thread is not, either.
    fn close(&self) -> bool {
        self.closed.store(true, Ordering::SeqCst);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let inside = self.inside.load(Ordering::SeqCst);
            if inside == 0 {
                return true;
            }
            if inside & !WAITED_FOR == me() {
                return false;
            }
            let wait = inside | WAITED_FOR;
            let (set, not) = (Ordering::SeqCst, Ordering::Relaxed);
            let exchanged = self.inside.compare_exchange(inside, wait, set, not);
            if exchanged.is_ok() {
                let woken = self.ended.wait(waiting);
                waiting = woken.unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

/// A place on the chain of a machine; dropping it leaves the chain.
///
/// Dropping it does **not** wait: a call that has begun on another thread goes on, and may begin
/// when this thread has just dropped. [`Registration::close`] waits.
#[must_use = "dropping a registration unregisters the callback at once"]
pub struct Registration {
    on_chain: memplug_core::Registration,
    calls: Arc<Calls>,
}

impl Registration {
    /// Puts a callback on the chain of a machine.
    pub(crate) fn new(
        machine: &Hotplug,
        (name, priority): (&str, i32),
        callback: impl Fn(&Notice<'_>) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let calls = Arc::new(Calls::default());
        let noted = calls.clone();
        let on_chain = machine.subscribe(name, priority, move |notice| {
            noted.call(|| callback(notice))
        });
        Self { on_chain, calls }
    }

    /// What is kept of its calls.
    pub fn stats(&self) -> SubscriberStats {
        self.on_chain.stats()
    }

    /// Leaves the chain, and waits until the callback runs no more: `true`. As with Linux'
    /// unregistering, a caller that has a lock that the callback takes must not wait here.
    ///
    /// Inside the callback itself there is nothing to wait for: `false` at once, and this call is
    /// the last. What the callback has captured is dropped when the last round that knew of it ends,
    /// which may be later.
    ///
    /// ```
    /// use memplug::{Answer, Bytes, Machine, NodeId, OnlineWord};
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU32, Ordering};
    ///
    /// let machine = Machine::builder().build()?;
    /// let calls = Arc::new(AtomicU32::new(0));
    /// let count = calls.clone();
    /// let registration = machine.subscribe("counter", 0, move |_| {
    ///     count.fetch_add(1, Ordering::Relaxed);
    ///     Answer::Ok
    /// });
    /// machine.plug(NodeId::new(0), Bytes::new(128 << 20), OnlineWord::Kernel)?;
    /// assert!(registration.close());
    /// assert_eq!(calls.load(Ordering::Relaxed), 2); // and no more
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(self) -> bool {
        let Self { on_chain, calls } = self;
        drop(on_chain);
        calls.close()
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.on_chain.fmt(f)
    }
}
