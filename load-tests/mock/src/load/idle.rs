//! Idle keep-alive clients: connections that made one request each and then only stay.
//!
//! Who started this reads the memory of the proxy once the line `ready` came, and ends it by closing its stdin.

use std::rc::Rc;

use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use crate::run::Client;
use crate::{Flags, request};

/// Connections that are being opened at one time: below every listen backlog.
const AT_ONCE: usize = 100;

pub async fn hold(flags: &Flags, count: usize) -> Result<bool, String> {
    let flags: &'static Flags = Box::leak(Box::new(flags.clone()));
    let wire: &'static [u8] = request(flags).leak();
    let gate = Rc::new(Semaphore::new(AT_ONCE));
    let local = LocalSet::new();
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            let gate = Rc::clone(&gate);
            local.spawn_local(async move {
                let _permit = gate.acquire().await.map_err(|e| e.to_string())?;
                let mut client = Client::new(flags, wire);
                client.once(None).await?;
                Ok::<_, String>(client.into_stream())
            })
        })
        .collect();
    let clients = local
        .run_until(async {
            let mut clients = Vec::with_capacity(count);
            let mut problem = None;
            for task in tasks {
                match task.await.map_err(|e| e.to_string()).and_then(|r| r) {
                    Ok(client) => clients.push(client),
                    Err(error) => problem = Some(error),
                }
            }
            println!(
                "ready {} of {count}{}",
                clients.len(),
                problem.map(|p| format!(", last error: {p}")).unwrap_or_default()
            );
            clients
        })
        .await;
    let mut rest = Vec::new();
    tokio::io::stdin()
        .read_to_end(&mut rest)
        .await
        .map_err(|e| e.to_string())?;
    Ok(clients.len() == count)
}
