//! What is up, from its start to its end.
//!
//! The end, in order: no operation begins any more and those under way are cancelled and undone;
//! their callers get a moment to be told; the socket goes, and with it every subscriber; the
//! hooks go. The machine itself is not taken down here.

use crate::audit::{self, Audit};
use crate::hooks::{HookError, Hooks};
use crate::operations::Operations;
use crate::rights::Rights;
use crate::service::{Machine, MachineService};
use crate::settings::Settings;
use crate::subscribers::Subscribers;
use crate::watching::Watchers;
use memplug_control::{Control, ControlError, Guard};
use memplug_varlink::{ListenError, Listener, Server};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// So long cancelled operations are waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// So long their callers have to read how it ended.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// Why a machine is not served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// No socket.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The hook directory cannot be used.
    #[error(transparent)]
    Hooks(#[from] HookError),
    /// The machine cannot be looked at.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// No thread.
    #[error("no thread for the service: {0}; end other processes")]
    Thread(#[from] io::Error),
}

/// A machine that is being served, until this is dropped.
pub struct Served {
    server: Option<Server>,
    hooks: Mutex<Option<Hooks>>,
    machine: Arc<Machine>,
    settings: Settings,
    _watch: Guard,
}

impl Served {
    /// Serves from now on.
    ///
    /// # Errors
    /// [`ServeError`]; nothing is left then.
    pub fn new(control: Arc<dyn Control>, settings: Settings) -> Result<Self, ServeError> {
        let info = control.machine()?;
        let audit = Arc::new(Audit::new(info.block_size / info.page_size.max(1)));
        let watchers = Arc::new(Watchers::default());
        let (kept, told) = (audit.clone(), watchers.clone());
        let watch = control.watch(Box::new(move |event| {
            audit::log(event);
            told.tell(kept.keep(event));
        }))?;
        let machine = Arc::new(Machine {
            rights: Rights::of_this_process(settings.group),
            operations: Operations::default(),
            subscribers: Subscribers::default(),
            began: Instant::now(),
            watchers,
            audit,
            control,
        });
        let hooks = Self::load(&machine, &settings)?;
        let listener = Listener::bind(&settings.socket)?;
        let server = Server::start(listener, MachineService(machine.clone()), settings.limits)?;
        Ok(Self {
            server: Some(server),
            hooks: Mutex::new(hooks),
            machine,
            settings,
            _watch: watch,
        })
    }

    fn load(machine: &Arc<Machine>, settings: &Settings) -> Result<Option<Hooks>, HookError> {
        let Some(of) = &settings.hooks else {
            return Ok(None);
        };
        let (control, audit) = (&*machine.control, &machine.audit);
        Hooks::load(
            of,
            control,
            machine.rights.owner,
            audit,
            &machine.operations,
        )
        .map(Some)
    }

    /// Looks for hooks anew; those of before go first.
    ///
    /// # Errors
    /// [`HookError`]; there are no hooks then.
    pub fn reload_hooks(&self) -> Result<(), HookError> {
        let mut hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        *hooks = None;
        *hooks = Self::load(&self.machine, &self.settings)?;
        Ok(())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let operations = &self.machine.operations;
        operations.stop();
        let until = Instant::now() + PATIENCE;
        let any = operations.count() > 0;
        while operations.count() > 0 && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        if any {
            thread::sleep(LAST_WORDS);
        }
        drop(self.server.take());
    }
}
